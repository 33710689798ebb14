"""One run's metrics on every view of its test split, and what comparing it with others takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ltcore.errors import PluginError, one_line
from ltcore.measures import METRICS, Metrics
from ltcore.predictions import Predictions
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.bootstrap import percentile_interval, replicates
from ltcore.reporting.evidence import Images, images_of, in_id_order
from ltcore.reporting.metrics import accuracy_only, view_metrics
from ltcore.reporting.priors import expected_accuracy, expected_view, prior_of
from ltcore.reporting.scores import ImageScores, refuse_non_finite, score_images
from ltcore.reporting.views import views_of
from ltcore.results import Outcome

if TYPE_CHECKING:
    from ltcore.components import Metric

Replicates = Mapping[tuple[str, str], NDArray[np.float64]]
"""(view, metric) -> (B,) values over the resamples."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What one run's predictions say.

    Attributes:
        metrics: view -> metrics, in the order of reports.
        images: the test images, in the order of their ids.
        correct: (N,) whether each is right.
        replicates: of the metrics but top-1 that intervals were asked for.
    """

    metrics: Mapping[str, Metrics]
    images: Images
    correct: NDArray[np.bool_]
    replicates: Replicates


def evaluate(
    results: Outcome,
    analysis: Analysis | None = None,
    known_images: dict[Images, Images] | None = None,
) -> Evaluation:
    """Compute the metrics of each view of a run's test split.

    Args:
        results: a run's results, in memory or read from a file; equal predictions give equal bits,
            in whatever order the images are.
        analysis: what is asked for beside the built-in metrics.
        known_images: those of runs before, so that equal ones are kept once.

    Raises:
        NonFiniteError: a logit is NaN or infinite.
        PluginError: a plugin's metric raised, or gave no number.
    """
    analysis = analysis or Analysis()
    test = in_id_order(results.test)
    views = views_of(test, results.classes, analysis.thresholds)
    images = images_of(test, views)
    if known_images is not None:
        images = known_images.setdefault(images, images)
    correct = test.prediction == test.label
    metrics: dict[str, Metrics]
    resampled: dict[tuple[str, str], NDArray[np.float64]] = {}
    published = results.origin == "accuracies"
    if published:
        # Made up to give the shares of the file's views: of other groups they say nothing.
        metrics = {
            view: Metrics(len(of)) if view in analysis.asked_views else accuracy_only(correct[of])
            for view, of in views.items()
        }
    elif analysis.top1_alone:
        refuse_non_finite(test)
        metrics = {view: accuracy_only(correct[indices]) for view, indices in views.items()}
    else:
        scores = score_images(test)
        metrics = {view: view_metrics(scores, indices) for view, indices in views.items()}
        if analysis.intervals:
            resampled = _replicates(scores, images, analysis)
        for view, indices in views.items():
            if len(indices) and (analysis.offered or resampled):
                metrics[view] = replace(
                    metrics[view],
                    others=_others(test, indices, results, analysis.offered),
                    intervals={
                        metric: percentile_interval(values)
                        for (of, metric), values in resampled.items()
                        if of == view
                    },
                )
    for prior in analysis.priors:
        frequencies = prior_of(prior, results.classes, views, test.label)
        expected = expected_accuracy(frequencies, test.label, correct)
        metrics[expected_view(prior)] = Metrics(expected.n) if published else expected
    return Evaluation(metrics, images, correct, resampled)


def _replicates(
    scores: ImageScores, images: Images, analysis: Analysis
) -> dict[tuple[str, str], NDArray[np.float64]]:
    wanted = [name for name in analysis.metrics if name in METRICS and name != "top1"]
    if scores.num_classes < 5:
        wanted = [name for name in wanted if name != "top5"]
    return {
        (view, metric): replicates(images.resampling(view), metric, scores, indices)
        for view, indices in images.views.items()
        for metric in wanted
        if len(indices)
    }


def _others(
    test: Predictions, indices: NDArray[np.int64], results: Outcome, offered: tuple[Metric, ...]
) -> dict[str, float | None]:
    """The metrics that plugins offer, of one view."""
    values: dict[str, float | None] = {}
    for metric in offered:
        try:
            value = metric.compute(
                test.logits[indices], test.label[indices], results.classes.counts
            )
            values[metric.name] = None if value is None else float(value)
        except Exception as error:
            raise PluginError(
                f"the metric {metric.name!r} failed on {results.path or results.name}: "
                f"{one_line(error)}"
            ) from error
        if not math.isfinite(values[metric.name] or 0.0):
            raise PluginError(
                f"the metric {metric.name!r} gave {value} for {results.path or results.name}; it "
                "must give a finite number or None"
            )
    return values
