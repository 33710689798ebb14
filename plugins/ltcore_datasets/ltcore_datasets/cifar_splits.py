"""The protocol on CIFAR: which images train and which test, decided before any is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import ltcore
from ltcore_datasets.cifar_releases import RELEASES
from ltcore_datasets.cifar_sets import OfficialSets, open_sets
from ltcore_datasets.class_order import class_ranks
from ltcore_datasets.pool import with_views


@dataclass(frozen=True)
class Protocol:
    """How a training and a test split come from the two official sets.

    Attributes:
        holdout_per_class: training images of each class that test; at 0 the official test set does.
        per_class: training images of the largest class; None for all that are left.
        class_order: which classes are frequent: the first labels, or a seed's order.
        imbalance_factor: of the training counts, in (0, 1].
        view_factor: of the test split's view ``long_tailed``.
        profile: the shape of the training counts.
        subset: ``seeded`` or ``cao``.
    """

    holdout_per_class: int
    per_class: int | None
    class_order: int | str
    imbalance_factor: float
    view_factor: float
    profile: Literal["exponential", "step"] = "exponential"
    subset: Literal["seeded", "cao"] = "seeded"


@dataclass(frozen=True)
class Choice:
    """Which images of the official training set a run uses.

    Attributes:
        train: ascending indices of those that train.
        held_out: ascending indices of those that test; empty where the official test set does.
        rank: (K,) the rank of each class, 0 the most frequent.
    """

    train: NDArray[np.int64]
    held_out: NDArray[np.int64]
    rank: NDArray[np.int64]


def build_splits(
    release: str, root: str, download: bool, protocol: Protocol, seeds: ltcore.Seeds
) -> ltcore.Splits:
    """Choose the images, and read those and no others.

    Raises:
        DataError: the release is not there, or damaged.
        SpecError: Cao et al.'s images are asked for, and the archive is not there.
    """
    sets = open_sets(RELEASES[release], Path(root).expanduser(), download=download)
    choice = choose(sets, protocol, seeds)
    official_test = sets.test.everything()
    held_out = sets.train.take(choice.held_out) if len(choice.held_out) else None
    return with_views(
        train=sets.train.take(choice.train),
        val=None if held_out is None else official_test,
        test=official_test if held_out is None else held_out,
        names=sets.names,
        rank=choice.rank,
        view_factor=protocol.view_factor,
        split_seed=seeds.split,
    )


def choose(sets: OfficialSets, protocol: Protocol, seeds: ltcore.Seeds) -> Choice:
    """Hold images out by the split seed, then draw the training images by the data seed.

    Raises:
        SpecError: Cao et al.'s images are asked for, and the archive is not there.
    """
    labels, ids, k = sets.train.labels, sets.train.ids, len(sets.names)
    held_per_class = np.full(k, protocol.holdout_per_class)
    held_out = ltcore.protocol.draw_per_class(labels, ids, held_per_class, seeds.split)
    rest = np.setdiff1d(np.arange(len(labels)), held_out, assume_unique=True)

    left = np.bincount(labels[rest], minlength=k)
    rank = class_ranks(protocol.class_order, sets.names, left)
    counts = ltcore.protocol.profile_counts(
        k, protocol.per_class or int(left.max()), protocol.imbalance_factor, protocol.profile
    )[rank]
    if protocol.subset == "cao":
        if sets.archive_positions is None:
            raise ltcore.SpecError(
                "dataset.subset: 'cao' is drawn over the order of the official archive, and root "
                "has class folders alone. Put the archive there, or take 'seeded'."
            )
        train = ldam_drw_subset(labels, sets.archive_positions, counts)
    else:
        drawn = ltcore.protocol.draw_per_class(labels[rest], ids[rest], counts, seeds.data)
        train = rest[drawn]
    return Choice(train, held_out, rank)


def ldam_drw_subset(
    labels: NDArray[np.int64], positions: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Ascending indices of the images that LDAM-DRW's code trains on.

    One legacy generator with seed 0 shuffles the images of one class after the other, each in the
    archive's order; of class j the first ``counts[j]`` train.

    Args:
        labels: (N,) of the official training set.
        positions: (N,) where the archive has each image.
        counts: (K,) images of each class.

    Reference:
        Cao, Wei, Gaidon, Arechiga, Ma: Learning Imbalanced Datasets with Label-Distribution-Aware
        Margin Loss. NeurIPS 2019; ``imbalance_cifar.py`` of their code.
    """
    random = np.random.RandomState(0)  # the state that their np.random.seed(0) sets
    chosen = []
    for label, count in enumerate(counts):
        members = np.flatnonzero(labels == label)
        members = members[np.argsort(positions[members])]
        random.shuffle(members)
        chosen.append(members[:count])
    return np.sort(np.concatenate(chosen))
