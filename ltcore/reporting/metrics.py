"""Metrics from stored logits: pure numpy, softmax in float64 of the stored float32.

Each image is scored once; a view's metrics are counts and means over the scores of its images.
Nothing here knows files, or how runs are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltcore.comparison import Metrics, in_view_order
from ltcore.errors import NonFiniteError
from ltcore.predictions import Predictions
from ltcore.reporting.statistics import wilson_interval
from ltcore.results import Results

STUDY_VIEWS = ("long_tailed", "head", "middle", "tail")
ECE_BINS = 15

_EDGES = np.linspace(0.0, 1.0, ECE_BINS + 1)
_BLOCK = 2**16  # logits that are softmaxed together: half a megabyte, which stays in cache


@dataclass(frozen=True)
class ImageScores:
    """What the logits say of each image.

    Attributes:
        label, prediction: (N,) int32.
        rank: (N,) int64, how many logits come before the label's: 0 is right at top-1. Of equal
            logits the one of lower index comes first, as in the argmax.
        nll: (N,) float64, ``-log softmax(z)_y``.
        confidence: (N,) float64 in (0, 1], the prediction's softmax.
        num_classes: K.
    """

    label: NDArray[np.int32]
    prediction: NDArray[np.int32]
    rank: NDArray[np.int64]
    nll: NDArray[np.float64]
    confidence: NDArray[np.float64]
    num_classes: int


def evaluate(results: Results) -> dict[str, Metrics]:
    """Compute the metrics of each view of a run's test split.

    Args:
        results: a run's results, in memory or read from a file; equal logits give equal bits.

    Returns:
        View -> metrics, in the order of reports: the whole split (``balanced`` where every class
        has equally many test images, else ``all``), the study's views, whose ``n`` is 0 where the
        results lack them, and whatever other views there are.

    Raises:
        NonFiniteError: a logit is NaN or infinite.
    """
    test = results.test
    views = _views_of(test, len(results.classes))
    if results.origin == "accuracies":
        correct = test.prediction == test.label
        return {view: _accuracy(correct[indices]) for view, indices in views.items()}
    scores = score_images(test)
    return {view: view_metrics(scores, indices) for view, indices in views.items()}


def score_images(predictions: Predictions) -> ImageScores:
    """Score each image of a split.

    Raises:
        NonFiniteError: a logit is NaN or infinite.
    """
    logits = np.ascontiguousarray(predictions.logits, dtype=np.float32)
    label = predictions.label
    n, num_classes = logits.shape
    if not np.isfinite(logits).all():
        raise NonFiniteError("a test logit is NaN or infinite")
    images = np.arange(n)
    of_label = logits[images, label]
    top = logits[images, predictions.prediction].astype(np.float64)
    total = np.empty(n)
    rank = np.empty(n, dtype=np.int64)
    rows = max(1, _BLOCK // num_classes)
    for block in (slice(start, start + rows) for start in range(0, n, rows)):
        shifted = logits[block] - top[block, None]
        total[block] = np.exp(shifted, out=shifted).sum(axis=1)
        rank[block] = _rank(logits[block], of_label[block], label[block])
    return ImageScores(
        label=label,
        prediction=predictions.prediction,
        rank=rank,
        nll=np.log(total) + (top - of_label),
        confidence=1.0 / total,
        num_classes=num_classes,
    )


def _rank(
    logits: NDArray[np.float32], of_label: NDArray[np.float32], label: NDArray[np.int32]
) -> NDArray[np.int64]:
    rank: NDArray[np.int64] = np.count_nonzero(logits > of_label[:, None], axis=1)
    equal = logits == of_label[:, None]
    tied = np.flatnonzero(np.count_nonzero(equal, axis=1) > 1)
    if len(tied):
        earlier = np.arange(logits.shape[1]) < label[tied, None]
        rank[tied] += np.count_nonzero(equal[tied] & earlier, axis=1)
    return rank


def view_metrics(scores: ImageScores, indices: NDArray[np.int64]) -> Metrics:
    """Compute the metrics of a view.

    Balanced accuracy and both F1 run over the classes that have an image in the view; a prediction
    outside these counts as a miss.

    Args:
        scores: of the whole split.
        indices: (n,) int64 into it.
    """
    n = len(indices)
    if n == 0:
        return Metrics(n=0)
    k = scores.num_classes
    label, prediction = scores.label[indices], scores.prediction[indices]
    correct = label == prediction
    accuracy = _accuracy(correct)
    support = np.bincount(label, minlength=k)
    hits = np.bincount(label[correct], minlength=k)
    predicted = np.bincount(prediction, minlength=k)
    present = np.flatnonzero(support)
    support, hits, predicted = support[present], hits[present], predicted[present]
    f1 = 2.0 * hits / (support + predicted)
    return Metrics(
        n=n,
        top1=accuracy.top1,
        top1_low=accuracy.top1_low,
        top1_high=accuracy.top1_high,
        top5=float(np.mean(scores.rank[indices] < 5)) if k >= 5 else None,
        balanced_accuracy=float(np.mean(hits / support)),
        f1_macro=float(np.mean(f1)),
        f1_weighted=float(support @ f1 / n),
        nll=float(np.mean(scores.nll[indices])),
        ece=_calibration_error(scores.confidence[indices], correct),
    )


def _accuracy(correct: NDArray[np.bool_]) -> Metrics:
    n, hits = len(correct), int(np.count_nonzero(correct))
    if n == 0:
        return Metrics(n=0)
    low, high = wilson_interval(hits, n)
    return Metrics(n=n, top1=hits / n, top1_low=low, top1_high=high)


def _calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """The mean over the images of ``|accuracy - confidence|`` of their bin.

    Bin b of 1..15 holds the confidences in ``((b - 1) / 15, b / 15]``.

    Reference:
        Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks. ICML 2017,
        equation 3.
    """
    bins = np.searchsorted(_EDGES, confidence, side="left")
    gaps = np.bincount(bins, weights=confidence) - np.bincount(bins, weights=correct)
    return float(np.abs(gaps).sum() / len(correct))


def _views_of(test: Predictions, num_classes: int) -> Mapping[str, NDArray[Any]]:
    sizes = np.bincount(test.label, minlength=num_classes)
    whole = "balanced" if np.all(sizes == sizes[0]) else "all"
    absent = dict.fromkeys(STUDY_VIEWS, np.empty(0, dtype=np.int64))
    views = {whole: np.arange(len(test.label)), **absent, **test.views}
    return {view: views[view] for view in in_view_order(set(views))}
