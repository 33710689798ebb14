"""What a dataset hands to a run: images, labels and ids of three splits, and the classes.

Plain arrays and paths: nothing here knows where images come from, or what is done with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ltcore.errors import DataError, SpecError

GROUP_NAMES = ("head", "middle", "tail")


@dataclass(frozen=True)
class Classes:
    """The classes of a data set and how many training images each has.

    Attributes:
        names: K names.
        counts: (K,) int64, training images of each class, ``n_j``.
        groups: (K,) uint8, 0 head, 1 middle, 2 tail; see :func:`ltcore.protocol.class_groups`.
    """

    names: tuple[str, ...]
    counts: NDArray[np.int64]
    groups: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def prior(self) -> NDArray[np.float64]:
        """(K,) float64, the share of each class in the training images, ``n_j / sum(n)``."""
        prior: NDArray[np.float64] = self.counts / self.counts.sum()
        return prior

    @property
    def empty(self) -> tuple[str, ...]:
        """The names of the classes without a training image."""
        return tuple(self.names[j] for j in np.flatnonzero(self.counts == 0))

    def require_images(self, needed_by: str) -> None:
        """Refuse classes without a training image.

        Args:
            needed_by: what needs them, for the message.

        Raises:
            SpecError: a class has no training image.
        """
        if self.empty:
            shown = ", ".join(self.empty[:5]) + (", ..." if len(self.empty) > 5 else "")
            raise SpecError(
                f"loss: {needed_by} needs training images of every class, and {len(self.empty)} of "
                f"{len(self)} classes have no training image: {shown}. Raise the data set's "
                "imbalance factor, or use cross_entropy."
            )

    def class_balanced_weights(self, beta: float) -> NDArray[np.float64]:
        """(K,) float64, ``(1 - beta) / (1 - beta**n_j)`` scaled to sum to K.

        Args:
            beta: in [0, 1); at 0 every weight is 1, towards 1 they approach ``1 / n_j``.

        Raises:
            SpecError: a class has no training image.

        Reference:
            Cui, Jia, Lin, Song, Belongie: Class-Balanced Loss Based on Effective Number of
            Samples. CVPR 2019, equation 4, and the scaling below it.
        """
        self.require_images("class-balanced weighting")
        if beta == 0.0 or np.all(self.counts == self.counts[0]):
            return np.ones(len(self))
        # -expm1(n log beta) is 1 - beta**n without the cancellation at beta near 1.
        weights: NDArray[np.float64] = 1.0 / -np.expm1(self.counts * np.log(beta))
        weights *= len(self) / weights.sum()
        return weights


@dataclass(frozen=True)
class ImageFiles:
    """Image files that ltcore decodes, at the size that the run asks for.

    Attributes:
        paths: N paths, one an image.
    """

    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True)
class Split:
    """Images with their labels and ids.

    Attributes:
        images: (N, 3, H, W) uint8, for images of one size held in memory, in any memory layout;
            or the files that hold them. What is no square, or larger than the run's size, is
            cropped to the central square and made smaller once, before training.
        labels: (N,) int64 in [0, K).
        ids: (N,) str, unique: what stays the same wherever the images are kept.
        views: name -> (n,) int64 indices into this split; of the test split alone.
    """

    images: NDArray[np.uint8] | ImageFiles
    labels: NDArray[np.int64]
    ids: NDArray[np.str_]
    views: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Splits:
    """The three splits of a data set. Where val and test are the same images, they are one object.

    Raises:
        DataError: on construction, where the parts do not fit together.
    """

    train: Split
    val: Split
    test: Split
    classes: Classes

    @property
    def val_is_test(self) -> bool:
        """Whether the images that select the best epoch are the test images."""
        return self.val is self.test

    def __post_init__(self) -> None:
        k = len(self.classes)
        if k < 2:
            found = f"only {self.classes.names[0]!r}" if k else "none"
            raise DataError(f"a data set needs at least 2 classes, found {found}")
        if len(set(self.classes.names)) != k:
            (name, _), *_ = Counter(self.classes.names).most_common(1)
            raise DataError(f"two classes have one name, {name!r}")
        for name, split in (("train", self.train), ("val", self.val), ("test", self.test)):
            _check_split(name, split, k)
        counts = np.bincount(self.train.labels, minlength=k)
        if not np.array_equal(counts, self.classes.counts):
            raise DataError("the class counts are not those of the training labels")
        if self.classes.groups.shape != (k,):
            raise DataError(f"groups must be ({k},), are {self.classes.groups.shape}")
        _check_apart("train", self.train, "val", self.val)
        _check_apart("train", self.train, "test", self.test)
        if not self.val_is_test:
            _check_apart("val", self.val, "test", self.test)


def _check_apart(name: str, split: Split, other_name: str, other: Split) -> None:
    shared = set(split.ids.tolist()) & set(other.ids.tolist())
    if shared:
        raise DataError(f"{name} and {other_name} share {len(shared)} ids, {min(shared)!r} first")


def _check_split(name: str, split: Split, num_classes: int) -> None:
    n = len(split.labels)
    if n == 0:
        raise DataError(f"{name} has no images")
    if len(split.images) != n or split.ids.shape != (n,) or split.labels.shape != (n,):
        raise DataError(
            f"{name} has {len(split.images)} images, {split.labels.shape} labels and "
            f"{split.ids.shape} ids"
        )
    if not isinstance(split.images, ImageFiles) and (
        split.images.dtype != np.uint8 or split.images.ndim != 4 or split.images.shape[1] != 3
    ):
        raise DataError(
            f"{name}'s images must be uint8 (N, 3, H, W), "
            f"are {split.images.dtype} {split.images.shape}"
        )
    if (
        split.labels.dtype != np.int64
        or split.labels.min() < 0
        or split.labels.max() >= num_classes
    ):
        raise DataError(f"{name}'s labels must be int64 in [0, {num_classes})")
    (most_common, times), *_ = Counter(split.ids.tolist()).most_common(1)
    if times > 1:
        raise DataError(f"{name} has the id {most_common!r} {times} times")
    for view, indices in split.views.items():
        if len(indices) and (indices.min() < 0 or indices.max() >= n):
            raise DataError(f"view {view!r} of {name} reaches outside its {n} images")
        if len(np.unique(indices)) != len(indices):
            raise DataError(f"view {view!r} of {name} holds an image twice")
