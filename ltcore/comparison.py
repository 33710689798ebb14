"""The typed comparison that every reporter renders: runs, what may be averaged, and the means.

Frozen values alone: nothing here reads a file, computes a metric or knows how a report looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from ltcore.components import Seeds
from ltcore.errors import ResultsFileError

Metric = Literal["top1", "top5", "balanced_accuracy", "f1_macro", "f1_weighted", "nll", "ece"]
METRICS: tuple[Metric, ...] = get_args(Metric)
LOWER_IS_BETTER: frozenset[Metric] = frozenset({"nll", "ece"})

Balance = Literal["balanced", "long_tailed"]
VIEWS = (
    "balanced",
    "all",
    "long_tailed",
    "head",
    "middle",
    "tail",
    "balanced_head",
    "balanced_middle",
    "balanced_tail",
    "many",
    "medium",
    "few",
)


def in_view_order(views: set[str]) -> tuple[str, ...]:
    """Views in the order that reports show them: ltcore's own, then others by name."""
    return (*(view for view in VIEWS if view in views), *sorted(views.difference(VIEWS)))


@dataclass(frozen=True, slots=True)
class Metrics:
    """What one run's predictions say of one view; None where there is nothing to say it of.

    An empty view has no metrics, only ``n`` 0; a run whose predictions were made up to give
    published accuracies has ``top1`` and its interval alone.

    Attributes:
        n: images.
        top1: share of the images whose prediction is their label, in [0, 1].
        top1_low, top1_high: its 95 % Wilson interval.
        top5: share whose label is among the five largest logits; None for fewer than 5 classes.
        balanced_accuracy: mean over the view's classes of the share of their images that are
            right: the group's macro accuracy, where ``top1`` is the micro one.
        f1_macro, f1_weighted: mean F1 of the view's classes, weighted by their images in the
            second.
        nll: mean negative log-likelihood of the labels, in nats; lower is better.
        ece: expected calibration error over 15 bins, in [0, 1]; lower is better.
    """

    n: int
    top1: float | None = None
    top1_low: float | None = None
    top1_high: float | None = None
    top5: float | None = None
    balanced_accuracy: float | None = None
    f1_macro: float | None = None
    f1_weighted: float | None = None
    nll: float | None = None
    ece: float | None = None

    def to_record(self) -> dict[str, float | None]:
        """The metrics by name."""
        return {name: getattr(self, name) for name in _METRICS_FIELDS}


_METRICS_FIELDS = tuple(item.name for item in fields(Metrics))


@dataclass(frozen=True, slots=True)
class Run:
    """One results file.

    Attributes:
        name: the run's name.
        dataset: the data set's name.
        backbone, loss: their names; with the parameters in which runs of one name differ.
        seed: the run's seed.
        seeds: the seed of each thing that was drawn.
        train: ``balanced`` where all class counts are equal.
        path: where the file lies; None for results in memory.
        verified: whether the file carried a checksum that held.
        chosen_on_test: whether the test images chose the epoch.
        published: whether the predictions were made up to give published accuracies.
        metrics: by view.
    """

    name: str
    dataset: str
    backbone: str
    loss: str
    seed: int
    seeds: Seeds
    train: Balance
    path: str | None
    verified: bool
    chosen_on_test: bool
    published: bool
    metrics: Mapping[str, Metrics]

    def to_record(self) -> dict[str, Any]:
        """The run as JSON holds it."""
        names = ("name", "dataset", "backbone", "loss", "seed", "train", "path")
        metrics = {view: metrics.to_record() for view, metrics in self.metrics.items()}
        return {**{name: getattr(self, name) for name in names}, "metrics": metrics}


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its standard deviation, and what stands behind it.

    Attributes:
        mean: None where no value is known.
        std: None where it is not defined: of one value, a sample's.
        values: how many values were averaged.
        runs: how many runs these values come from; more than ``values`` where seeds were averaged
            before.
    """

    mean: float | None
    std: float | None
    values: int
    runs: int

    def to_record(self) -> dict[str, float | None]:
        """The mean as JSON holds it."""
        return {"mean": self.mean, "std": self.std, "runs": self.runs}


Means = Mapping[str, Mapping[Metric, Mean]]
"""Means by view and metric."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The runs of one loss on one backbone that differ in nothing but their seeds.

    Attributes:
        backbone, loss: as in :class:`Run`.
        runs: by seed.
        means: over the runs, with the sample's standard deviation (ddof 1).
    """

    backbone: str
    loss: str
    runs: tuple[Run, ...]
    means: Means

    @property
    def repeats_seed(self) -> bool:
        """Whether two of the runs have the same seeds, so that the std is not one over seeds."""
        return len({run.seeds for run in self.runs}) < len(self.runs)


@dataclass(frozen=True, slots=True)
class Setting:
    """One training set and one recipe: what runs share that may be compared and averaged.

    Attributes:
        label: ``balanced`` or ``long_tailed``; ``<dataset> <ratio>`` where there are several of
            that kind, and what else sets them apart in brackets.
        dataset: the data set's name.
        train: ``balanced`` where all class counts are equal.
        class_counts: (K,) training images of each class.
        cells: by backbone and loss; a missing one was not run.
        by_backbone: of each backbone, over its losses' cells, with the population's standard
            deviation (ddof 0).
        by_loss: of each loss, over its backbones' cells, the same.
    """

    label: str
    dataset: str
    train: Balance
    class_counts: tuple[int, ...]
    cells: Mapping[tuple[str, str], Cell]
    by_backbone: Mapping[str, Means]
    by_loss: Mapping[str, Means]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side, in an order that does not depend on that of their files.

    Attributes:
        runs: all of them.
        settings: the same runs, grouped by what may be compared.
        unreadable: path -> why this file is not among them.
    """

    runs: tuple[Run, ...]
    settings: tuple[Setting, ...]
    unreadable: Mapping[str, ResultsFileError] = field(default_factory=dict)

    def to_records(self) -> dict[str, Any]:
        """Runs and means as plain lists, mappings, strings and numbers, as JSON holds them.

        Returns:
            ``runs``; ``by_backbone`` and ``by_loss``, which hold per setting, group and view the
            mean of top-1 (ddof 0); ``over_seeds``, which holds per cell of several runs, view and
            metric the mean over them (ddof 1).
        """
        return {
            "runs": [run.to_record() for run in self.runs],
            "by_backbone": {s.label: _top1_records(s.by_backbone) for s in self.settings},
            "by_loss": {s.label: _top1_records(s.by_loss) for s in self.settings},
            "over_seeds": [
                _cell_record(setting, cell)
                for setting in self.settings
                for cell in setting.cells.values()
                if len(cell.runs) > 1
            ],
        }


def _top1_records(groups: Mapping[str, Means]) -> dict[str, Any]:
    return {
        group: {view: metrics["top1"].to_record() for view, metrics in means.items()}
        for group, means in groups.items()
    }


def _cell_record(setting: Setting, cell: Cell) -> dict[str, Any]:
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
