"""The built-in metrics of images that count several times, for many resamples of a view together.

Each is prepared once for a view, from the scores of its n images, and then computed from how often
each of b resamples holds each image: (b, n) -> (b,). Nothing here draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltcore.reporting.calibration import adaptive_edges, bin_of
from ltcore.reporting.scores import ImageScores

Floats = NDArray[np.float64]
Times = NDArray[np.uint8]
"""(b, n): how often each of b resamples holds each of n images; n in all."""

Prepare = Callable[[ImageScores], Callable[[Times], Floats]]
"""A metric: a view's scores -> what computes (b,) values of that view's resamples."""


def _mean_of(of_images: Callable[[ImageScores], NDArray[Any]]) -> Prepare:
    def prepare(view: ImageScores) -> Callable[[Times], Floats]:
        values = of_images(view).astype(np.float64)
        # Not by BLAS, whose rounding depends on how many threads it has.
        return lambda times: (times * values).sum(axis=1) / len(values)

    return prepare


def _top5(view: ImageScores) -> NDArray[Any]:
    return view.rank < 5 if view.num_classes >= 5 else np.full(len(view.rank), np.nan)


def _of_recall(summary: Callable[[Floats, Floats], Floats]) -> Prepare:
    """A metric of the (b, K) recalls, NaN where a class is absent, and of the classes' shares."""

    def prepare(view: ImageScores) -> Callable[[Times], Floats]:
        labels = _sums_by(view.label, view.num_classes)
        hits = _sums_by(view.label, view.num_classes, view.correct)
        images = _images_of_classes(view)

        def of_resamples(times: Times) -> Floats:
            support = labels(times)
            return summary(_ratio(hits(times), support), support / images)

        return of_resamples

    return prepare


def _of_f1(summary: Callable[[Floats, Floats], Floats], *, of_shares: bool) -> Prepare:
    """The same of the (b, K) F1, and of the classes' shares or their images."""

    def prepare(view: ImageScores) -> Callable[[Times], Floats]:
        labels = _sums_by(view.label, view.num_classes)
        hits = _sums_by(view.label, view.num_classes, view.correct)
        predictions = _sums_by(view.prediction, view.num_classes)
        whole = _images_of_classes(view) if of_shares else 1.0

        def of_resamples(times: Times) -> Floats:
            support = labels(times)
            either = np.where(support > 0, support + predictions(times), 0.0)
            return summary(_ratio(2.0 * hits(times), either), support / whole)

        return of_resamples

    return prepare


def _weighted_mean(of_classes: Floats, weights: Floats) -> Floats:
    """(b, K) values, NaN where the weight is 0 -> (b,)."""
    mean: Floats = np.nansum(weights * of_classes, axis=1) / weights.sum(axis=1)
    return mean


def _g_mean(recall: Floats, _: Floats) -> Floats:
    with np.errstate(divide="ignore"):  # log 0 is -inf, and its exp 0 again
        mean: Floats = np.exp(np.nanmean(np.log(recall), axis=1))
    return mean


def _calibration_error(view: ImageScores) -> Callable[[Times], Floats]:
    n = len(view.label)
    bins = bin_of(view.confidence)
    order = np.argsort(bins, kind="stable")
    first = np.unique(bins[order], return_index=True)[1]
    gap = (view.correct - view.confidence)[order]
    return lambda times: (
        np.abs(np.add.reduceat(times[:, order] * gap, first, axis=1)).sum(axis=1) / n
    )


def _adaptive_calibration_error(view: ImageScores) -> Callable[[Times], Floats]:
    n = len(view.label)
    edges = adaptive_edges(n)
    order = np.argsort(view.confidence, kind="stable")
    gap = (view.correct - view.confidence)[order]
    level_ends = np.append(np.flatnonzero(np.diff(view.confidence[order])), n - 1)

    def of_resamples(times: Times) -> Floats:
        # Of drawn images in order of confidence: how many there are up to each level of it, and
        # what their gaps add up to. An edge within a level takes a part of that level's gap, so
        # sums at the edges are interpolated, for all rows laid end to end.
        drawn = times[:, order]
        images, gaps = np.zeros((2, len(times), len(level_ends) + 1))
        images[:, 1:] = np.cumsum(drawn, axis=1, dtype=np.int64)[:, level_ends]
        gaps[:, 1:] = np.cumsum(drawn * gap, axis=1)[:, level_ends]
        row_starts = (n + 1) * np.arange(len(times))[:, None]
        until = np.interp(edges + row_starts, (images + row_starts).ravel(), gaps.ravel())
        errors: Floats = np.abs(np.diff(until, axis=1)).sum(axis=1) / n
        return errors

    return of_resamples


def _sums_by(
    of_image: NDArray[np.int32], num_classes: int, counted: NDArray[np.bool_] | None = None
) -> Callable[[Times], Floats]:
    """(b, n) -> (b, K): how many images, or how many of those counted, have each class."""
    images = np.arange(len(of_image)) if counted is None else np.flatnonzero(counted)
    images = images[np.argsort(of_image[images], kind="stable")]
    found, first = np.unique(of_image[images], return_index=True)

    def sums(times: Times) -> Floats:
        totals = np.zeros((len(times), num_classes))
        totals[:, found] = np.add.reduceat(times[:, images], first, axis=1, dtype=np.int64)
        return totals

    return sums


def _images_of_classes(view: ImageScores) -> NDArray[np.int64]:
    """(K,) images of each class in the view; 1 of an absent one, which no resample holds."""
    return np.maximum(np.bincount(view.label, minlength=view.num_classes), 1)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """NaN where the whole is 0."""
    return part / np.where(whole > 0, whole, np.nan)


WEIGHTED: Mapping[str, Prepare] = {
    "top1": _mean_of(lambda view: view.correct),
    "top5": _mean_of(_top5),
    "balanced_accuracy": _of_recall(_weighted_mean),
    "f1_macro": _of_f1(_weighted_mean, of_shares=True),
    "f1_weighted": _of_f1(_weighted_mean, of_shares=False),
    "g_mean": _of_recall(_g_mean),
    "worst_recall": _of_recall(lambda recall, _: np.nanmin(recall, axis=1)),
    "nll": _mean_of(lambda view: view.nll),
    "brier": _mean_of(lambda view: view.brier),
    "ece": _calibration_error,
    "ece_adaptive": _adaptive_calibration_error,
}
"""Metric -> its weighted version: that of the images, each repeated as often as it is held.

But for means over classes (``balanced_accuracy``, ``f1_macro``), in which a class counts by its
share: how many of its images a resample holds, of those that it has in the view. Were an absent
class left out and each other one counted whole, what a long-tailed view's resamples leave out would
be its tail, and the mean that of another set of classes.
"""
