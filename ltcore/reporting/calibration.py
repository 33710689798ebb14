"""Calibration errors and reliability diagrams, from each image's confidence and correctness.

Nothing here knows logits or classes. Confidences lie in (0, 1], and there is at least one image
where nothing else is said.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ltcore.comparison import Reliability

BINS = 15

_EDGES = np.linspace(0.0, 1.0, BINS + 1)


def bin_of(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bin of equal width, 1..15, of each confidence."""
    return np.searchsorted(_EDGES, confidence, side="left")


def reliability(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> Reliability:
    """Compare confidence to accuracy in each bin of equal width.

    Args:
        confidence: (n,) the predictions' softmax; n may be 0.
        correct: (n,) whether the prediction is the label.

    Reference:
        DeGroot, Fienberg: The Comparison and Evaluation of Forecasters. The Statistician 32, 1983.
    """
    bins = bin_of(confidence) - 1
    images = np.bincount(bins, minlength=BINS)
    filled = np.where(images > 0, images, np.nan)
    return Reliability(
        images=images,
        confidence=np.bincount(bins, weights=confidence, minlength=BINS) / filled,
        accuracy=np.bincount(bins, weights=correct, minlength=BINS) / filled,
    )


def calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """The mean over the images of ``|accuracy - confidence|`` of their bin of equal width.

    Args:
        confidence: (n,) the predictions' softmax.
        correct: (n,) whether the prediction is the label.

    Returns:
        ECE in [0, 1]; lower is better.

    Reference:
        Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks. ICML 2017,
        equation 3.
    """
    bins = bin_of(confidence)
    gaps = np.bincount(bins, weights=confidence) - np.bincount(bins, weights=correct)
    return float(np.abs(gaps).sum() / len(correct))


def adaptive_edges(n: int) -> NDArray[np.int64]:
    """Where bins of equally many images begin and end among n images sorted by confidence.

    Of 15 bins, or of n where there are fewer images, the first ``n mod 15`` hold one image more.

    Returns:
        (bins + 1,) from 0 to n: bin b holds the images from ``[b]`` up to ``[b + 1]``.
    """
    bins = min(BINS, n)
    bin_numbers = np.arange(bins + 1)
    return bin_numbers * (n // bins) + np.minimum(bin_numbers, n % bins)


def adaptive_calibration_error(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_]
) -> float:
    """The mean over the images of ``|accuracy - confidence|`` of their bin of equally many images.

    Images of equal confidence have no order, so each of them counts as the share of them that is
    right. The error then depends on no order of the images, even where a bin ends among them.

    Args:
        confidence: (n,) the predictions' softmax.
        correct: (n,) whether the prediction is the label.

    Returns:
        Adaptive ECE in [0, 1]; lower is better.

    Reference:
        Nguyen, O'Connor: Posterior Calibration and Exploratory Analysis for Natural Language
        Processing Models. EMNLP 2015. Nixon, Dusenberry, Zhang, Jerfel, Tran: Measuring
        Calibration in Deep Learning. CVPR Workshops 2019.
    """
    levels, level, images = np.unique(confidence, return_inverse=True, return_counts=True)
    gap = np.bincount(level, weights=correct) / images - levels
    gaps = np.add.reduceat(np.repeat(gap, images), adaptive_edges(len(correct))[:-1])
    return float(np.abs(gaps).sum() / len(correct))
