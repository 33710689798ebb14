"""A model's logits for one split, with what they are to be compared to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

_Found = TypeVar("_Found")


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


def found_once(of: Callable[[NDArray[Any]], _Found]) -> Callable[[NDArray[Any]], _Found]:
    """Remember what was found of the last few arrays that cannot change.

    Files of one test set share one read-only array of ids (:mod:`ltcore.hdf5`), so what is asked of
    it is worked out for the first of them alone.
    """
    known: deque[tuple[NDArray[Any], _Found]] = deque(maxlen=4)

    @wraps(of)
    def find(array: NDArray[Any]) -> _Found:
        for other, found in known:
            if other is array:
                return found
        found = of(array)
        if not array.flags.writeable:
            known.append((array, found))
        return found

    return find


@found_once
def ascend(ids: NDArray[np.str_]) -> bool:
    """Whether each id is larger than the one before it: in order, and none twice."""
    return bool(np.all(ids[:-1] < ids[1:]))
