"""Metrics of a view: counts and means over the scores of its images, in pure numpy.

Nothing here knows files, or how runs are compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ltcore.measures import Metrics
from ltcore.reporting.calibration import adaptive_calibration_error, calibration_error
from ltcore.reporting.intervals import wilson_interval
from ltcore.reporting.scores import ImageScores


@dataclass(frozen=True, slots=True)
class PerClass:
    """What the predictions say of each of the K classes.

    Attributes:
        images: (K,) int64, how many images have this label.
        recall: (K,) float64, the share of these that are predicted so; NaN where there are none.
        precision: (K,) float64, the share of right ones among the predictions of this class; NaN
            where there are none.
    """

    images: NDArray[np.int64]
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]


def accuracy_only(correct: NDArray[np.bool_]) -> Metrics:
    """Top-1 and its interval of a view, from which of its images are right.

    Args:
        correct: (n,); n may be 0.
    """
    hits, n = int(np.count_nonzero(correct)), len(correct)
    if n == 0:
        return Metrics(n=0)
    low, high = wilson_interval(hits, n)
    return Metrics(n=n, top1=hits / n, top1_low=low, top1_high=high)


def view_metrics(scores: ImageScores, indices: NDArray[np.int64]) -> Metrics:
    """Compute the metrics of a view.

    Recalls and F1 are those of the classes that have an image in the view; a prediction outside
    these counts as a miss.

    Args:
        scores: of the whole split.
        indices: (n,) int64 into it.
    """
    n = len(indices)
    if n == 0:
        return Metrics(n=0)
    view = scores.take(indices)
    correct = view.correct
    accuracy = accuracy_only(correct)
    support, hits, predicted = _class_counts(view)
    present = np.flatnonzero(support)
    support, hits, predicted = support[present], hits[present], predicted[present]
    recall = hits / support
    f1 = 2.0 * hits / (support + predicted)
    return Metrics(
        n=n,
        top1=accuracy.top1,
        top1_low=accuracy.top1_low,
        top1_high=accuracy.top1_high,
        top5=float(np.mean(view.rank < 5)) if view.num_classes >= 5 else None,
        balanced_accuracy=float(np.mean(recall)),
        f1_macro=float(np.mean(f1)),
        f1_weighted=float(support @ f1 / n),
        g_mean=float(np.exp(np.mean(np.log(recall)))) if recall.all() else 0.0,
        worst_recall=float(recall.min()),
        nll=float(np.mean(view.nll)),
        brier=float(np.mean(view.brier)),
        ece=calibration_error(view.confidence, correct),
        ece_adaptive=adaptive_calibration_error(view.confidence, correct),
    )


def per_class(scores: ImageScores, indices: NDArray[np.int64] | None = None) -> PerClass:
    """Recall and precision of each class.

    Args:
        scores: of the whole split.
        indices: (n,) int64 into it; None for all images.
    """
    images, hits, predicted = _class_counts(scores if indices is None else scores.take(indices))
    return PerClass(
        images=images,
        recall=hits / np.where(images > 0, images, np.nan),
        precision=hits / np.where(predicted > 0, predicted, np.nan),
    )


def confusion(scores: ImageScores, indices: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Count how often each class is predicted for each class.

    Args:
        scores: of the whole split.
        indices: (n,) int64 into it; None for all images.

    Returns:
        (K, K): rows are labels, columns predictions.
    """
    view = scores if indices is None else scores.take(indices)
    k = view.num_classes
    cell = view.label.astype(np.int64) * k + view.prediction
    return np.bincount(cell, minlength=k * k).reshape(k, k)


def _class_counts(
    view: ImageScores,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(K,) each: images with this label, those of them that are right, predictions of it."""
    k = view.num_classes
    return (
        np.bincount(view.label, minlength=k),
        np.bincount(view.label[view.correct], minlength=k),
        np.bincount(view.prediction, minlength=k),
    )
