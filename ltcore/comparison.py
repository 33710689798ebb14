"""The typed comparison that every reporter renders: runs, what may be averaged, how they differ.

Frozen values alone: nothing here reads a file, computes a metric or knows how a report looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ltcore.differences import Difference, Pair, Published
from ltcore.errors import ResultsFileError
from ltcore.measures import METRICS, Means, MetricInfo, Metrics
from ltcore.splits import Classes

if TYPE_CHECKING:
    import pandas as pd

    from ltcore.components import Seeds

Environment = tuple[tuple[str, str], ...]
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
class Adjustment:
    """What was done to a run's logits after training; None stands for nothing.

    Attributes:
        label: what follows the loss's name: ``+LA(1)``, ``+LA(val)+T(val)``.
        tau: of ``z - tau log(prior)``; two where each half of the images chose the other's.
        temperature: that divides the logits; two likewise.
    """

    label: str
    tau: tuple[float, ...] | None = None
    temperature: tuple[float, ...] | None = None

    @property
    def crossfitted(self) -> bool:
        """Whether halves of the test images chose for each other."""
        return any(
            chosen is not None and len(chosen) > 1 for chosen in (self.tau, self.temperature)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """A reliability diagram's bins, of equal width, right-closed.

    Attributes:
        images: (B,) int64 in each.
        confidence, accuracy: (B,) float64 means of the bin's images; NaN where it has none.
    """

    images: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Details:
    """What a report of single runs shows beside their metrics; computed where a reporter asks.

    Attributes:
        classes: names, training counts and groups of the K classes.
        history: column -> (epochs,).
        images: (K,) int64, test images of each class.
        recall, precision: (K,) float64 of the whole test split; NaN where undefined.
        confusion: (K, K) int64 of the whole test split: rows are labels, columns predictions.
        reliability: by view.
        facts: what else the file says: when and by what the run was made, its parameters, ...
        spec: the resolved spec, as JSON.
    """

    classes: Classes
    history: Mapping[str, NDArray[Any]]
    images: NDArray[np.int64]
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    confusion: NDArray[np.int64]
    reliability: Mapping[str, Reliability]
    facts: Mapping[str, Any]
    spec: Mapping[str, Any] = field(default_factory=dict)


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
        adjustment: what was done to its logits.
        details: where a reporter asked for them.
        environment: what it was computed with, as far as that can change numbers: (key, value) of
            the results file's environment.
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
    adjustment: Adjustment | None = None
    details: Details | None = None
    environment: Environment = ()

    @property
    def file(self) -> str:
        """What a message calls the run: its file, or its name where it is in memory."""
        return self.path or self.name

    def to_record(self) -> dict[str, Any]:
        """The run without its metrics, as JSON holds it."""
        names = ("name", "dataset", "backbone", "loss", "seed", "train", "path")
        record = {name: getattr(self, name) for name in names}
        if self.adjustment is not None:
            record["tau"] = self.adjustment.tau
            record["temperature"] = self.adjustment.temperature
        return record


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
    def adjusted(self) -> bool:
        """Whether this is a further row, of the same runs with adjusted logits."""
        return self.runs[0].adjustment is not None

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
            deviation (ddof 0); adjusted ones are not averaged with those that they are made of.
        by_loss: of each loss, over its backbones' cells, the same.
        pairs: tests between runs of one backbone and equal seeds.
        gains: each loss's cell minus the baseline's.
        inseparable: (backbone, view, metric) -> the losses, but the best, of which nothing says
            that they are worse than the best.
    """

    label: str
    dataset: str
    train: Balance
    class_counts: tuple[int, ...]
    cells: Mapping[tuple[str, str], Cell]
    by_backbone: Mapping[str, Means]
    by_loss: Mapping[str, Means]
    pairs: tuple[Pair, ...] = ()
    gains: tuple[Difference, ...] = ()
    inseparable: Mapping[tuple[str, str, str], frozenset[str]] = field(default_factory=dict)

    @property
    def trained_losses(self) -> tuple[str, ...]:
        """The losses, without the further rows of adjusted logits."""
        cells = (cell for cell in self.cells.values() if not cell.adjusted)
        return tuple(dict.fromkeys(cell.loss for cell in cells))


@dataclass(frozen=True, slots=True)
class Control:
    """The long-tailed runs of a setting minus the balanced-trained ones of another.

    Attributes:
        setting, balanced: their labels.
        differences: of each backbone, loss, view and metric that both have.
    """

    setting: str
    balanced: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Ensemble:
    """The mean of several runs' probabilities.

    Attributes:
        members: in the order of their files' names.
        metrics: by view.
        best: the member that is best on its validation images; None where none has any.
        gains: by view, the ensemble's top-1 against that member's.
    """

    members: tuple[Run, ...]
    metrics: Mapping[str, Metrics]
    best: Run | None
    gains: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side, in an order that does not depend on that of their files.

    Attributes:
        runs: all of them.
        settings: the same runs, grouped by what may be compared.
        unreadable: path -> why this file is not among them.
        controls: each long-tailed setting against its balanced-trained one.
        published: runs against published accuracies.
        ensemble: of all the runs, where asked for.
        metrics: the metrics that were computed, by name.
        asked_views: views that were asked for beside those that a report shows anyway.
        warnings: what a reader must know, in sentences.
    """

    runs: tuple[Run, ...]
    settings: tuple[Setting, ...]
    unreadable: Mapping[str, ResultsFileError] = field(default_factory=dict)
    controls: tuple[Control, ...] = ()
    published: tuple[Published, ...] = ()
    ensemble: Ensemble | None = None
    metrics: Mapping[str, MetricInfo] = field(default_factory=lambda: METRICS)
    asked_views: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The whole as plain lists, mappings, strings and numbers, as JSON holds it."""
        from ltcore.records import as_json

        return as_json(self)

    def to_records(self) -> list[dict[str, Any]]:
        """One flat mapping a run and view: what the run is, the view, and every metric."""
        from ltcore.records import as_rows

        return list(as_rows(self))

    def to_pandas(self) -> pd.DataFrame:
        """The records as a table; pandas must be installed."""
        import pandas as pd

        return pd.DataFrame.from_records(self.to_records())
