"""The comparison as plain lists, mappings, strings and numbers: for JSON, CSV and data frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ltcore.comparison import Cell, Comparison, Ensemble, Setting
from ltcore.measures import METRICS, Means

COLUMNS = frozenset(
    {
        *("setting", "name", "dataset", "backbone", "loss", "seed", "train", "path"),
        *("tau", "temperature", "view", "n"),
        *(f"{metric}_{end}" for metric in METRICS for end in ("low", "high")),
    }
)
"""The names of a row's fields that are no metrics."""


def as_json(comparison: Comparison) -> dict[str, Any]:
    """What JSON holds of a comparison.

    Returns:
        ``runs``; ``by_backbone`` and ``by_loss``, which hold per setting, group and view the mean
        of top-1 (ddof 0); ``over_seeds``, which holds per cell of several runs, view and metric
        the mean over them (ddof 1); ``pairs``, ``gains``, ``controls`` and ``published``, lists of
        differences that name their setting; ``ensemble``; ``warnings``; ``unreadable``.
    """
    parts = json_parts(comparison).items()
    return {name: list(part) if isinstance(part, Iterator) else part for name, part in parts}


def json_parts(comparison: Comparison) -> dict[str, Any]:
    """The same, with iterators in the place of lists: to be written one after the other."""
    settings = comparison.settings
    return {
        "runs": (
            {**run.to_record(), "metrics": {v: m.to_record() for v, m in run.metrics.items()}}
            for run in comparison.runs
        ),
        "by_backbone": {s.label: _top1(s.by_backbone) for s in settings},
        "by_loss": {s.label: _top1(s.by_loss) for s in settings},
        "over_seeds": (
            _cell(setting, cell)
            for setting in settings
            for cell in setting.cells.values()
            if len(cell.runs) > 1
        ),
        "pairs": ({"setting": s.label, **pair.to_record()} for s in settings for pair in s.pairs),
        "gains": ({"setting": s.label, **gain.to_record()} for s in settings for gain in s.gains),
        "controls": (
            {"setting": control.setting, **difference.to_record()}
            for control in comparison.controls
            for difference in control.differences
        ),
        "published": (difference.to_record() for difference in comparison.published),
        "ensemble": comparison.ensemble and _ensemble(comparison.ensemble),
        "warnings": iter(comparison.warnings),
        "unreadable": {path: str(error) for path, error in comparison.unreadable.items()},
    }


def as_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """One flat mapping a run and view: what the run is, the view, and every metric.

    All rows have the same keys in the same order; what is not known is None.
    """
    keys = dict.fromkeys(key for row in _rows(comparison) for key in row)
    return ({key: row.get(key) for key in keys} for row in _rows(comparison))


def _rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    for setting in comparison.settings:
        for cell in setting.cells.values():
            for run in cell.runs:
                told = {"setting": setting.label, **run.to_record()}
                for view, metrics in run.metrics.items():
                    yield {**told, "view": view, **metrics.to_record()}


def _top1(groups: Mapping[str, Means]) -> dict[str, Any]:
    return {
        group: {view: metrics["top1"].to_record() for view, metrics in means.items()}
        for group, means in groups.items()
    }


def _cell(setting: Setting, cell: Cell) -> dict[str, Any]:
    return {
        "dataset": setting.dataset,
        "backbone": cell.backbone,
        "loss": cell.loss,
        "train": setting.train,
        "setting": setting.label,
        "seeds": [run.seed for run in cell.runs],
        "metrics": {
            view: {metric: mean.to_record() for metric, mean in metrics.items()}
            for view, metrics in cell.means.items()
        },
    }


def _ensemble(ensemble: Ensemble) -> dict[str, Any]:
    return {
        "members": [run.file for run in ensemble.members],
        "best": ensemble.best and ensemble.best.file,
        "metrics": {view: metrics.to_record() for view, metrics in ensemble.metrics.items()},
        "gains": [pair.to_record() for pair in ensemble.gains],
    }
