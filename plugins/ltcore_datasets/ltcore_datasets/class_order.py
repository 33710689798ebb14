"""Which classes are frequent in a long-tailed set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import ltcore


def class_ranks(
    class_order: str | int, names: tuple[str, ...], counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(K,) the rank of each class, 0 the most frequent.

    Args:
        class_order: ``label`` for the label itself; ``count`` for the order of the counts; a seed
            for the hash order of the names.
        names: K class names.
        counts: (K,) images that each class has to give.
    """
    if class_order == "label":
        return np.arange(len(names))
    if class_order == "count":
        return ltcore.protocol.ranks(counts)
    return np.argsort(ltcore.protocol.hash_order(np.array(names), int(class_order)))
