"""What the logits say of each image: pure numpy, softmax in float64 of the stored float32.

Each image is scored once, whatever views it belongs to. Nothing here sums over images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ltcore.errors import NonFiniteError
from ltcore.predictions import Predictions

_BLOCK = 2**16  # logits that are softmaxed together: half a megabyte, which stays in cache


@dataclass(frozen=True)
class ImageScores:
    """What the logits z say of each image, whose label is y.

    Attributes:
        label, prediction: (N,) int32.
        rank: (N,) int64, how many logits come before the label's: 0 is right at top-1. Of equal
            logits the one of lower index comes first, as in the argmax.
        nll: (N,) float64, ``-log softmax(z)_y``.
        brier: (N,) float64 in [0, 2], ``sum_k (softmax(z)_k - [k = y])**2``.
        confidence: (N,) float64 in (0, 1], the prediction's softmax.
        num_classes: K.
    """

    label: NDArray[np.int32]
    prediction: NDArray[np.int32]
    rank: NDArray[np.int64]
    nll: NDArray[np.float64]
    brier: NDArray[np.float64]
    confidence: NDArray[np.float64]
    num_classes: int

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(N,) bool, whether the prediction is the label."""
        correct: NDArray[np.bool_] = self.label == self.prediction
        return correct

    def take(self, indices: NDArray[np.integer[Any]]) -> Self:
        """The scores of some images, in the order of their indices; one may come repeatedly."""
        return type(self)(
            label=self.label[indices],
            prediction=self.prediction[indices],
            rank=self.rank[indices],
            nll=self.nll[indices],
            brier=self.brier[indices],
            confidence=self.confidence[indices],
            num_classes=self.num_classes,
        )


def score_images(predictions: Predictions) -> ImageScores:
    """Score each image of a split.

    Raises:
        NonFiniteError: a logit is NaN or infinite.
    """
    logits = np.ascontiguousarray(predictions.logits, dtype=np.float32)
    label = predictions.label
    n, num_classes = logits.shape
    refuse_non_finite(predictions)
    images = np.arange(n)
    of_label = logits[images, label]
    top = logits[images, predictions.prediction].astype(np.float64)
    total = np.empty(n)
    squares = np.empty(n)
    rank = np.empty(n, dtype=np.int64)
    rows = max(1, _BLOCK // num_classes)
    for block in (slice(start, start + rows) for start in range(0, n, rows)):
        shifted = logits[block] - top[block, None]
        total[block] = np.exp(shifted, out=shifted).sum(axis=1)
        # Of the softmax times its total: the label's share has to be taken off before squaring,
        # or the small Brier score of a sure image is lost in rounding.
        shifted[np.arange(len(shifted)), label[block]] -= total[block]
        squares[block] = np.square(shifted, out=shifted).sum(axis=1)
        rank[block] = _rank(logits[block], of_label[block], label[block])
    return ImageScores(
        label=label,
        prediction=predictions.prediction,
        rank=rank,
        nll=np.log(total) + (top - of_label),
        brier=squares / total**2,
        confidence=1.0 / total,
        num_classes=num_classes,
    )


def refuse_non_finite(predictions: Predictions) -> None:
    """Refuse logits of which an argmax says nothing.

    Raises:
        NonFiniteError: a logit is NaN or infinite.
    """
    if not np.isfinite(predictions.logits).all():
        raise NonFiniteError("a test logit is NaN or infinite")


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
