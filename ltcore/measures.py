"""What is measured of a run's predictions: the metrics' names and titles, values, and means.

Frozen values alone: nothing here computes a metric or knows how a report looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple


class Interval(NamedTuple):
    """The ends of a 95 % interval."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies between the ends, or on one."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What a report must know of a metric to show it.

    Attributes:
        name: what options and records call it.
        title: what tables call it.
        lower_is_better: whether the best of several is the smallest.
        percent: whether it is a share in [0, 1], shown in percent.
    """

    name: str
    title: str
    lower_is_better: bool = False
    percent: bool = True

    @property
    def heading(self) -> str:
        """The title with the unit and, where it is not the usual one, the better end."""
        unit = " in %" if self.percent else ""
        return f"{self.title}{unit}{', lower is better' if self.lower_is_better else ''}"


METRICS: Mapping[str, MetricInfo] = {
    info.name: info
    for info in (
        MetricInfo("top1", "top-1"),
        MetricInfo("top5", "top-5"),
        MetricInfo("balanced_accuracy", "balanced accuracy"),
        MetricInfo("f1_macro", "macro F1"),
        MetricInfo("f1_weighted", "weighted F1"),
        MetricInfo("g_mean", "G-mean"),
        MetricInfo("worst_recall", "worst-class recall"),
        MetricInfo("nll", "NLL in nats", lower_is_better=True, percent=False),
        MetricInfo("brier", "Brier score", lower_is_better=True, percent=False),
        MetricInfo("ece", "ECE", lower_is_better=True),
        MetricInfo("ece_adaptive", "adaptive ECE", lower_is_better=True),
    )
}
"""The built-in metrics, in the order of reports."""


_NOTHING: Mapping[str, Any] = {}  # one for all: reports hold the metrics of thousands of views


@dataclass(frozen=True, slots=True)
class Metrics:
    """What one run's predictions say of one view; None where there is nothing to say it of.

    An empty view has no metrics, only ``n`` 0; a run whose predictions were made up to give
    published accuracies has ``top1`` and its interval alone.

    Attributes:
        n: images.
        top1: share of the images whose prediction is their label, in [0, 1]: a group's micro
            accuracy.
        top1_low, top1_high: its 95 % Wilson interval.
        top5: share whose label is among the five largest logits; None for fewer than 5 classes.
        balanced_accuracy: mean recall of the view's classes: a group's macro accuracy.
        f1_macro, f1_weighted: mean F1 of the view's classes, weighted by their images in the
            second.
        g_mean: geometric mean of the recalls of the view's classes; 0 where one of them is 0.
        worst_recall: the smallest recall of the view's classes.
        nll: mean negative log-likelihood of the labels, in nats; lower is better.
        brier: mean squared distance of the probabilities from the label's one-hot vector, in
            [0, 2]; lower is better.
        ece: expected calibration error over 15 bins of equal width, in [0, 1]; lower is better.
        ece_adaptive: the same over 15 bins of equally many images; lower is better.
        others: metrics that plugins offer, by name.
        intervals: metric -> 95 % bootstrap interval, of those that were asked for.
    """

    n: int
    top1: float | None = None
    top1_low: float | None = None
    top1_high: float | None = None
    top5: float | None = None
    balanced_accuracy: float | None = None
    f1_macro: float | None = None
    f1_weighted: float | None = None
    g_mean: float | None = None
    worst_recall: float | None = None
    nll: float | None = None
    brier: float | None = None
    ece: float | None = None
    ece_adaptive: float | None = None
    others: Mapping[str, float | None] = field(default_factory=lambda: _NOTHING, hash=False)
    intervals: Mapping[str, Interval] = field(default_factory=lambda: _NOTHING, hash=False)

    def value(self, metric: str) -> float | None:
        """A metric by its name, a plugin's too; None where it is not known."""
        value: float | None = (
            getattr(self, metric) if metric in METRICS else self.others.get(metric)
        )
        return value

    def interval(self, metric: str) -> Interval | None:
        """A metric's 95 % interval; None where there is none or it was not asked for."""
        if metric == "top1" and self.top1_low is not None and self.top1_high is not None:
            return Interval(self.top1_low, self.top1_high)
        return self.intervals.get(metric)

    def to_record(self) -> dict[str, float | None]:
        """The numbers by name; an interval's as ``<metric>_low`` and ``<metric>_high``."""
        record = {name: getattr(self, name) for name in _NUMBERS} | dict(self.others)
        for metric, interval in self.intervals.items():
            record[f"{metric}_low"], record[f"{metric}_high"] = interval
        return record


_NUMBERS = tuple(item.name for item in fields(Metrics) if item.name not in ("others", "intervals"))


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


NO_MEAN = Mean(mean=None, std=None, values=0, runs=0)

Means = Mapping[str, Mapping[str, Mean]]
"""Means by view and metric."""
