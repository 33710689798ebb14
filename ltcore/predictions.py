"""A model's logits for one split, with what they are to be compared to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Predictions:
    """A model's logits for one split.

    Attributes:
        logits: (N, K) float32, of the model itself: no prior, margin or mask.
        prediction: (N,) int32, the argmax, the lowest index at a tie.
        label: (N,) int32 in [0, K).
        id: (N,) str, unique.
        views: name -> (n,) int64 indices; of the test split alone.
    """

    logits: NDArray[np.float32]
    prediction: NDArray[np.int32]
    label: NDArray[np.int32]
    id: NDArray[np.str_]
    views: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def from_logits(
        cls,
        logits: NDArray[np.float32],
        label: NDArray[np.integer[Any]],
        ids: NDArray[np.str_],
        views: Mapping[str, NDArray[np.int64]] | None = None,
    ) -> Self:
        """Take the argmax of logits."""
        prediction = logits.argmax(axis=1).astype(np.int32)
        return cls(logits, prediction, label.astype(np.int32), ids, dict(views or {}))
