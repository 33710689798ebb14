"""What a report is asked to compute besides every run's metrics."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ltcore.errors import SpecError
from ltcore.measures import METRICS, MetricInfo
from ltcore.reporting.priors import expected_view

if TYPE_CHECKING:
    from ltcore.components import Metric

DEFAULT_BASELINE = "cross_entropy"


@dataclass(frozen=True)
class Analysis:
    """What to compute of results files.

    Attributes:
        metrics: those that intervals and tests are made for.
        every_metric: compute the built-in metrics that are not named too. Without them, and with
            top-1 alone named, no softmax is taken, and a report takes half the time.
        offered: metrics that plugins offer, by their components.
        intervals: bootstrap what has no closed interval: other metrics than top-1, and paired
            differences. Takes a second or so for some dozens of files.
        pairs: test each run against the baseline and the best (``key``), or all against all. Or
            the first only where it is ``needed``: not on repeated backbones
            (:func:`ltcore.reporting.repetition.repeated_backbones`).
        baseline: the loss that gains are over.
        thresholds: ``(100, 20)`` makes the views ``many`` (of classes with more than 100 training
            images), ``medium`` and ``few`` (less than 20) anew, whatever the files hold.
        priors: a view ``expected_<prior>`` for each: the accuracy expected where the classes are
            as frequent as in a view, in training (``train``), equally (``uniform``), or as a JSON
            file of weights by class name says.
        logit_adjust: tau of a further row for each run, of logits ``z - tau log(prior)``.
        sweep_tau: the same with the tau that is best on the validation images.
        temperature: divide the logits by the temperature that is best on the validation images.
        ensemble: average the probabilities of all runs.
        references: names or files of published accuracies to compare to.
        details: keep what reports of single runs need (:class:`ltcore.comparison.Details`).
    """

    metrics: tuple[str, ...] = ("top1",)
    every_metric: bool = True
    offered: tuple[Metric, ...] = ()
    intervals: bool = False
    pairs: Literal["needed", "key", "all"] = "key"
    baseline: str = DEFAULT_BASELINE
    thresholds: tuple[int, int] | None = None
    priors: tuple[str, ...] = ()
    logit_adjust: float | None = None
    sweep_tau: bool = False
    temperature: bool = False
    ensemble: bool = False
    references: tuple[str | os.PathLike[str], ...] = ()
    details: bool = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            SpecError: an unknown metric; thresholds out of order; two priors of one name; a tau
                that is no number, or two ways to settle it.
        """
        unknown = [metric for metric in self.metrics if metric not in self.known_metrics]
        if unknown:
            known = ", ".join(self.known_metrics)
            raise SpecError(f"metrics: no metric is called {unknown[0]!r}. There are: {known}")
        if self.thresholds is not None and not 0 <= self.thresholds[1] <= self.thresholds[0]:
            raise SpecError(
                f"thresholds: {self.thresholds[0]} and {self.thresholds[1]}; the first, above "
                "which a class is 'many', must be the larger"
            )
        views = {expected_view(prior): prior for prior in self.priors}
        hidden = [prior for prior in self.priors if views[expected_view(prior)] != prior]
        if hidden:
            view = expected_view(hidden[0])
            raise SpecError(
                f"priors: {hidden[0]!r} and {views[view]!r} would both be called {view}; rename "
                "a file"
            )
        if not math.isfinite(self.logit_adjust or 0.0):
            raise SpecError(f"logit_adjust: {self.logit_adjust}; it must be a finite number")
        if self.sweep_tau and self.logit_adjust is not None:
            raise SpecError("logit_adjust and sweep_tau: each settles tau; give one of them")

    @property
    def known_metrics(self) -> dict[str, MetricInfo]:
        """Every metric that is computed, by name."""
        return dict(METRICS) | {metric.name: metric.info for metric in self.offered}

    @property
    def asked_views(self) -> tuple[str, ...]:
        """The views that come from what is asked for."""
        groups = ("many", "medium", "few") if self.thresholds is not None else ()
        return (*groups, *map(expected_view, self.priors))

    @property
    def top1_alone(self) -> bool:
        """Whether predictions say all that is asked for."""
        return not self.every_metric and self.metrics == ("top1",) and not self.details

    @property
    def adjusts(self) -> bool:
        """Whether each run has a further row, of adjusted logits."""
        return self.logit_adjust is not None or self.sweep_tau or self.temperature

    @property
    def reads_whole_files(self) -> bool:
        """Whether more is needed than the test split: validation logits, or the history."""
        return self.sweep_tau or self.temperature or self.ensemble or self.details
