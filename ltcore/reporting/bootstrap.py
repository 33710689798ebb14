"""The bootstrap of a view: its metrics on images drawn from it again and again.

What is drawn depends on the labels alone, so runs on the same images are resampled alike: the
differences of their replicates are those of a paired bootstrap. A resample is held as how often it
holds each image, and metrics of many are computed together, as weighted ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltcore.measures import Interval
from ltcore.reporting.scores import ImageScores
from ltcore.reporting.weighted import WEIGHTED

RESAMPLES = 2000
SMALLEST_STRATUM = 5

_SEED = 42
_BLOCK = 2**18  # multiplicities that are worked on together: their float64 stay in cache
_KEPT = 2**25  # bytes of multiplicities that are kept for the next metric, run or pass


class Resampling:
    """What a view's bootstrap draws: n of its n images with replacement, 2,000 times.

    Where each class in it has at least 5 images, as many are drawn of each class as it has: test
    sets are drawn by class. Of smaller classes that would hide how much chance there is (a class
    of one image would be the same in each resample), so images are then drawn from all.

    Reference:
        Efron: Bootstrap Methods: Another Look at the Jackknife. The Annals of Statistics 7, 1979.
        Davison, Hinkley: Bootstrap Methods and Their Application. Cambridge University Press,
        1997, section 3.2, on several samples.
    """

    def __init__(self, label: NDArray[np.integer[Any]]) -> None:
        """Settle the strata.

        Args:
            label: (n,) of the view's images, at least one.
        """
        sizes = np.bincount(label)
        sizes = sizes[sizes > 0]
        self.stratified = bool(sizes.min() >= SMALLEST_STRATUM)
        if not self.stratified:
            sizes = np.array([len(label)])
        self._order = np.argsort(label, kind="stable") if self.stratified else np.arange(len(label))
        self._size = np.repeat(sizes, sizes).astype(np.float64)
        self._start = np.repeat(np.cumsum(sizes) - sizes, sizes)
        self._kept: tuple[NDArray[np.uint8], ...] = ()

    def multiplicities(self) -> Iterator[NDArray[np.uint8]]:
        """How often each resample holds each image.

        Yields:
            (b, n) uint8, read-only, of b of the 2,000 resamples; the same ones in each pass, in
            each process and for each run on these images.
        """
        if RESAMPLES * len(self._order) > _KEPT:
            return self._draw()
        self._kept = self._kept or tuple(self._draw())
        return iter(self._kept)

    def _draw(self) -> Iterator[NDArray[np.uint8]]:
        n = len(self._order)
        generator = np.random.Generator(np.random.PCG64(_SEED))
        rows = max(1, _BLOCK // n)
        for first in range(0, RESAMPLES, rows):
            count = min(rows, RESAMPLES - first)
            # Sorted by stratum, an image's stratum is a range: its start, and its size.
            drawn = (generator.random((count, n)) * self._size).astype(np.int64) + self._start
            drawn += n * np.arange(count)[:, None]
            # uint8 holds them: an image is drawn 256 times with a probability below 1 / 256!.
            times = np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n)
            block = np.empty((count, n), dtype=np.uint8)
            block[:, self._order] = times
            block.flags.writeable = False
            yield block


def accuracy_replicates(resampling: Resampling, correct: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Top-1 of several runs on each resample.

    Args:
        resampling: of a view of n images.
        correct: (R, n) which of them each of R runs gets right.

    Returns:
        (R, 2000) in [0, 1].
    """
    # Counts are whole numbers below 2**24, which float32 adds without rounding.
    by_image = correct.T.astype(np.float32)
    hits = [block.astype(np.float32) @ by_image for block in resampling.multiplicities()]
    return np.concatenate(hits).T / np.float64(correct.shape[1])


def replicates(
    resampling: Resampling, metric: str, scores: ImageScores, indices: NDArray[np.int64]
) -> NDArray[np.float64]:
    """A metric of one run on each resample of a view.

    Each replicate is what :func:`ltcore.reporting.metrics.view_metrics` says of the drawn images:
    a class of which none was drawn does not count, and bins of equally many images are made anew.
    Where images are drawn from all, though, a class counts in ``balanced_accuracy`` and
    ``f1_macro`` by how many of its images were drawn, of those that it has.

    Args:
        resampling: of the labels of these images.
        metric: one of :data:`ltcore.measures.METRICS`.
        scores: of the whole split.
        indices: (n,) int64 into it: the view.

    Returns:
        (2000,); NaN where the metric is not defined, as top-5 of fewer than 5 classes.
    """
    of_resamples = WEIGHTED[metric](scores.take(indices))
    return np.concatenate([of_resamples(block) for block in resampling.multiplicities()])


def percentile_interval(values: NDArray[np.float64]) -> Interval:
    """From the 2.5 to the 97.5 percentile of replicates, or of differences of paired ones.

    A metric that resampling shifts, as it raises calibration errors and lowers the recall of the
    worst class, has an interval that is shifted with it.

    Args:
        values: (2000,).

    Reference:
        Efron, Tibshirani: An Introduction to the Bootstrap. Chapman & Hall, 1993, chapter 13.
    """
    low, high = np.percentile(values, (2.5, 97.5))
    return Interval(float(low), float(high))
