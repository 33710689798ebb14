"""From the images of an ``image_folder`` to its splits: which train, which are held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import ltcore
from ltcore_datasets.class_folders import Listing
from ltcore_datasets.class_order import class_ranks
from ltcore_datasets.image_folder_sources import list_sources
from ltcore_datasets.pool import Pool, with_views


@dataclass(frozen=True)
class Protocol:
    """How splits come from the images that there are.

    Attributes:
        holdout: what is held out of each class for a split without images of its own: a share
            below 1, or a number of images.
        imbalance_factor: of the training counts, in (0, 1]; None leaves them as they are.
        view_factor: of the view ``long_tailed``; None for the training factor.
        profile: the shape of the training counts.
        per_class: at most how many images of a class train; None for all.
        class_order: which classes are frequent: ``count``, ``label``, or a seed's order.
    """

    holdout: int | float
    imbalance_factor: float | None
    view_factor: float | None
    profile: Literal["exponential", "step"]
    per_class: int | None
    class_order: int | str


def build_splits(
    root: Path, sources: Mapping[str, str | None], protocol: Protocol, seeds: ltcore.Seeds
) -> ltcore.Splits:
    """Choose the images; none is opened.

    Test images are held out before validation images, so that a validation folder added later
    leaves the test images as they are.

    Args:
        root: the folder of the data set.
        sources: the folder or list file of each split, relative to the root, or None.
        protocol: how the splits are made.
        seeds: of the run.

    Raises:
        DataError: images that are missing, or too few to make a data set.
    """
    listings = list_sources(root, sources)
    names = listings["train"].names
    if len(names) < 2:
        raise ltcore.DataError(
            f"{listings['train'].source} has one class, {names[0]!r}; a data set needs two"
        )
    pools = {split: _pool(root, listing, names) for split, listing in listings.items()}
    train = pools["train"]
    splits = {split: pools[split].everything() for split in ("val", "test") if split in pools}
    left = np.arange(len(train))
    for split in ("test", "val"):
        if split not in splits:
            held, left = _hold_out(train, left, len(names), protocol.holdout, seeds.split)
            splits[split] = train.take(held)
    available = np.bincount(train.labels[left], minlength=len(names))
    _require_every_class(available, listings["train"])

    counts, rank = _counts(available, names, protocol)
    drawn = ltcore.protocol.draw_per_class(train.labels[left], train.ids[left], counts, seeds.data)
    one_set = "val" in listings and listings["val"] is listings.get("test")
    return with_views(
        train.take(left[drawn]),
        None if one_set else splits["val"],
        splits["test"],
        names=names,
        rank=rank,
        view_factor=(
            protocol.view_factor or protocol.imbalance_factor or float(counts.min() / counts.max())
        ),
        split_seed=seeds.split,
    )


def _pool(root: Path, listing: Listing, names: tuple[str, ...]) -> Pool:
    index = {name: label for label, name in enumerate(names)}
    unknown = sorted(set(listing.names) - set(names))
    if unknown:
        raise ltcore.DataError(
            f"{listing.source} has the class {unknown[0]!r}, and the training images have not"
        )
    images = sorted(
        (index[name], path) for name, path in zip(listing.classes, listing.paths, strict=True)
    )

    def read(indices: NDArray[np.int64]) -> ltcore.ImageFiles:
        return ltcore.ImageFiles(tuple(f"{root}/{images[i][1]}" for i in indices))

    labels = np.array([label for label, _ in images], dtype=np.int64)
    return Pool(labels, np.array([path for _, path in images]), read)


def _hold_out(
    pool: Pool, left: NDArray[np.int64], num_classes: int, holdout: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of the images that are left, those that are held out and those that are not."""
    if isinstance(holdout, int):
        counts = np.full(num_classes, holdout)
    else:
        sizes = np.bincount(pool.labels, minlength=num_classes)
        counts = np.maximum(np.rint(sizes * holdout).astype(np.int64), 1)
    drawn = ltcore.protocol.draw_per_class(pool.labels[left], pool.ids[left], counts, seed)
    return left[drawn], np.delete(left, drawn)


def _require_every_class(available: NDArray[np.int64], listing: Listing) -> None:
    for name, count in zip(listing.names, available, strict=True):
        if count == 0:
            raise ltcore.DataError(
                f"{listing.source}: of class {name!r}, which has {listing.classes.count(name)} "
                "images, none is left to train on. Lower dataset.holdout, or give dataset.val and "
                "dataset.test images of their own."
            )


def _counts(
    available: NDArray[np.int64], names: tuple[str, ...], protocol: Protocol
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(K,) the images that train of each class, and (K,) the rank of each class."""
    largest = protocol.per_class or int(available.max())
    if protocol.imbalance_factor is None:
        counts = np.minimum(available, largest)
        return counts, ltcore.protocol.ranks(counts)
    rank = class_ranks(protocol.class_order, names, available)
    profile = ltcore.protocol.profile_counts(
        len(names), largest, protocol.imbalance_factor, protocol.profile
    )
    return np.minimum(available, profile[rank]), rank
