"""Images to choose from: known by label and id, and read only once they are chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import ltcore


@dataclass(frozen=True)
class Pool:
    """Images to choose from, sorted by label, then by id.

    The order is the same wherever the images are kept, because what a run does with an image
    depends on its index.

    Attributes:
        labels: (N,) int64.
        ids: (N,) str, unique.
        read: (n,) indices -> their images.
    """

    labels: NDArray[np.int64]
    ids: NDArray[np.str_]
    read: Callable[[NDArray[np.int64]], NDArray[np.uint8] | ltcore.ImageFiles]

    def __len__(self) -> int:
        return len(self.labels)

    def everything(self) -> ltcore.Split:
        """All images of the pool."""
        return self.take(np.arange(len(self)))

    def take(self, indices: NDArray[np.int64]) -> ltcore.Split:
        """The images at the indices, read."""
        return ltcore.Split(self.read(indices), self.labels[indices], self.ids[indices])


def with_views(
    train: ltcore.Split,
    val: ltcore.Split | None,
    test: ltcore.Split,
    *,
    names: tuple[str, ...],
    rank: NDArray[np.int64],
    view_factor: float,
    split_seed: int,
) -> ltcore.Splits:
    """The splits of a run, with the class counts, the groups, and the views of the test split.

    Args:
        train: the training images.
        val: the validation images, or None where they are the test images.
        test: the test images.
        names: K class names.
        rank: (K,) the rank of each class in the long-tailed profile.
        view_factor: the imbalance factor of the view ``long_tailed``.
        split_seed: chooses the images of that view.
    """
    counts = np.bincount(train.labels, minlength=len(names))
    views: Mapping[str, NDArray[np.int64]] = ltcore.protocol.evaluation_views(
        test.labels, test.ids, train_counts=counts, rank=rank, factor=view_factor, seed=split_seed
    )
    test = ltcore.Split(test.images, test.labels, test.ids, views)
    classes = ltcore.Classes(names, counts, ltcore.protocol.class_groups(rank))
    return ltcore.Splits(train, test if val is None else val, test, classes)
