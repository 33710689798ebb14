"""The comparison laid out as tables of text: what all reporters of tables have in common.

Which numbers stand where and how they are rounded; nothing here knows in what form they are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ltcore.comparison import (
    LOWER_IS_BETTER,
    VIEWS,
    Cell,
    Comparison,
    Mean,
    Means,
    Metric,
    Setting,
    in_view_order,
)
from ltcore.errors import SpecError
from ltcore.reporting.text_tables import (
    TITLES,
    VIEW_TITLES,
    Column,
    Row,
    Section,
    TextTable,
    Value,
)

NO_VALUE = "—"
NO_RUN = "no run"

_ROW_MARKS = {
    "†": "the test images chose the epoch",
    "‡": "no checksum in the file: its content is not verified",
    "§": "published accuracies; the predictions were made up to give them",
    "¶": "some runs have the same seeds: ± is not over seeds alone",
}


@dataclass(frozen=True)
class Layout:
    """What of a comparison to show, and how.

    Attributes:
        metrics: a table each.
        digits: decimals.
        views: the columns; those of the study where empty.
        interval: show the 95 % interval of a single run's top-1.
    """

    metrics: tuple[Metric, ...] = ("top1",)
    digits: int = 2
    views: tuple[str, ...] = ()
    interval: bool = False

    def sections(self, comparison: Comparison) -> Iterator[Section]:
        """Lay out one setting after the other.

        Raises:
            SpecError: a view that no run has and that is none of ltcore's.
        """
        known = {*VIEWS, *(view for run in comparison.runs for view in run.metrics)}
        unknown = [view for view in self.views if view not in known]
        if unknown:
            found = ", ".join(in_view_order(known))
            raise SpecError(f"views: no run has a view called {unknown[0]!r}. There are: {found}")
        for setting in comparison.settings:
            columns = self._columns(setting)
            tables = [
                self._losses(setting, columns, backbone, metric)
                for backbone in setting.by_backbone
                for metric in self.metrics
            ]
            for metric in self.metrics:
                tables.extend(self._averages(setting, columns, metric))
            yield Section(_describe(setting), tuple(tables), _notes(setting))

    def _losses(
        self, setting: Setting, columns: Mapping[str, Column], backbone: str, metric: Metric
    ) -> TextTable:
        cells = [setting.cells.get((backbone, loss)) for loss in setting.by_loss]
        best, among = _best(cells, columns, metric)
        several = _has_seeds(setting)
        rows = tuple(
            Row(
                loss,
                _marks(cell) if cell else "",
                (
                    *((Value(str(len(cell.runs) if cell else 0)),) if several else ()),
                    *(self._value(cell, view, metric, best.get(view)) for view in columns),
                ),
            )
            for loss, cell in zip(setting.by_loss, cells, strict=True)
        )
        headings = (Column("Loss"), *((Column("Seeds"),) if several else ()), *columns.values())
        return TextTable(f"{backbone}: {TITLES[metric]}", among, headings, rows)

    def _averages(
        self, setting: Setting, columns: Mapping[str, Column], metric: Metric
    ) -> Iterator[TextTable]:
        first = ", seeds averaged first" if _has_seeds(setting) else ""
        backbones, losses = len(setting.by_backbone), len(setting.by_loss)
        for title, over, of, groups in (
            ("Backbone", "losses", losses, setting.by_backbone),
            ("Loss", "backbones", backbones, setting.by_loss),
        ):
            if of > 1:
                yield TextTable(
                    f"Mean ± population std (ddof 0) over {of} {over}{first}: {TITLES[metric]}",
                    "",
                    (Column(title), *columns.values()),
                    tuple(self._average(*group, columns, metric, of) for group in groups.items()),
                )

    def _average(
        self, group: str, means: Means, columns: Mapping[str, Column], metric: Metric, of: int
    ) -> Row:
        found = [_mean(means, view, metric) for view in columns]
        held = max(mean.values for mean in found)
        label = group if held == of else f"{group} ({held} of {of})"
        return Row(label, "", tuple(Value(self._mean_text(mean, metric)) for mean in found))

    def _columns(self, setting: Setting) -> dict[str, Column]:
        sizes = {
            view: metrics.n
            for cell in setting.cells.values()
            for run in cell.runs
            for view, metrics in run.metrics.items()
        }
        whole = "balanced" if "balanced" in sizes else "all"
        study = (whole, "long_tailed", "head", "middle", "tail", "balanced_tail")
        return {
            view: Column(VIEW_TITLES.get(view, view), sizes.get(view, 0))
            for view in self.views or study
        }

    def _value(self, cell: Cell | None, view: str, metric: Metric, best: float | None) -> Value:
        if cell is None:
            return Value(NO_RUN)
        mean = _mean(cell.means, view, metric)
        text = self._mean_text(mean, metric)
        if self.interval and metric == "top1" and len(cell.runs) == 1 and mean.values:
            metrics = cell.runs[0].metrics[view]
            low, high = (self._number(x, metric) for x in (metrics.top1_low, metrics.top1_high))
            text = f"{text} [{low}, {high}]"
        return Value(text, best=best is not None and mean.mean == best)

    def _mean_text(self, mean: Mean, metric: Metric) -> str:
        text = self._number(mean.mean, metric)
        return f"{text}±{self._number(mean.std, metric)}" if mean.values > 1 else text

    def _number(self, value: float | None, metric: Metric) -> str:
        if value is None:
            return NO_VALUE
        return f"{value if metric == 'nll' else 100 * value:.{self.digits}f}"


def _mean(means: Means, view: str, metric: Metric) -> Mean:
    return means[view][metric] if view in means else Mean(None, None, 0, 0)


def _best(
    cells: Sequence[Cell | None], views: Iterable[str], metric: Metric
) -> tuple[dict[str, float], str]:
    """The best value of each view, and what it is the best of; nothing is the best of one."""
    best: dict[str, float] = {}
    among = 0
    for view in views:
        means = (_mean(cell.means, view, metric).mean for cell in cells if cell is not None)
        values = [mean for mean in means if mean is not None]
        if len(values) > 1:
            best[view] = min(values) if metric in LOWER_IS_BETTER else max(values)
            among = len(values)  # of every view the same: the runs of a setting share their views
    return best, f"best of {among}, on this split" if best else ""


def _marks(cell: Cell) -> str:
    applies = {
        "†": any(run.chosen_on_test for run in cell.runs),
        "‡": not all(run.verified for run in cell.runs),
        "§": any(run.published for run in cell.runs),
        "¶": cell.repeats_seed,
    }
    return "".join(mark for mark, holds in applies.items() if holds)


def _has_seeds(setting: Setting) -> bool:
    return any(len(cell.runs) > 1 for cell in setting.cells.values())


def _notes(setting: Setting) -> tuple[str, ...]:
    used = {mark for cell in setting.cells.values() for mark in _marks(cell)}
    seeds = ("± of a run: sample std over its seeds (ddof 1)",) if _has_seeds(setting) else ()
    return (*seeds, *(f"{mark} {text}" for mark, text in _ROW_MARKS.items() if mark in used))


def _describe(setting: Setting) -> str:
    counts = setting.class_counts
    each = f"{max(counts):,}" + ("" if setting.train == "balanced" else f" to {min(counts):,}")
    return (
        f"{setting.label}: trained on {setting.dataset}, {sum(counts):,} images, "
        f"{len(counts):,} classes of {each}"
    )
