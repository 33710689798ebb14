"""The long-tailed protocol: how many images a class keeps, which ones, and the views of the test.

Functions of labels and ids alone, for every data set that is to be long-tailed in the same way;
nothing here reads a file or draws from a global random state.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ltcore.splits import GROUP_NAMES

Profile = Literal["exponential", "step"]

MANY_SHOT = 100
FEW_SHOT = 20


def profile_counts(
    num_classes: int, largest: int, factor: float, profile: Profile = "exponential"
) -> NDArray[np.int64]:
    """(K,) images that the class of each rank keeps, non-increasing.

    ``exponential``: the class of rank r keeps ``int(largest * factor**(r / (K - 1)))``, truncated
    as in all published code. ``step``: the first half of the ranks, K // 2, keeps ``largest``, the
    others keep ``int(largest * factor)``.

    Args:
        num_classes: K, at least 2.
        largest: images of the class of rank 0.
        factor: the imbalance factor, in (0, 1]; 1 is balanced.
        profile: the shape of the fall.

    Reference:
        Cao, Wei, Gaidon, Arechiga, Ma: Learning Imbalanced Datasets with Label-Distribution-Aware
        Margin Loss. NeurIPS 2019, section 4 (after Cui et al., CVPR 2019, and Buda et al., 2018).
    """
    if profile == "step":
        few = int(largest * factor)
        counts = [largest if rank < num_classes // 2 else few for rank in range(num_classes)]
    else:
        counts = [int(largest * factor ** (r / (num_classes - 1))) for r in range(num_classes)]
    return np.array(counts, dtype=np.int64)


def ranks(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(K,) the rank of each class by count, descending from 0, ties by index.

    Args:
        counts: (K,) the counts of the long-tailed profile (or the realised ones).
    """
    result = np.empty(len(counts), dtype=np.int64)
    result[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return result


def class_groups(rank: NDArray[np.int64]) -> NDArray[np.uint8]:
    """(K,) 0 for head, 1 for middle, 2 for tail: the ranks cut at K // 3 and 2K // 3.

    Args:
        rank: (K,) as :func:`ranks` gives them.
    """
    k = len(rank)
    return ((rank >= k // 3).astype(np.uint8) + (rank >= 2 * k // 3)).astype(np.uint8)


def hash_order(ids: NDArray[np.str_], seed: int) -> NDArray[np.int64]:
    """(n,) the indices that sort the ids by the SHA-256 of ``<seed>/<id>``.

    The order of two ids does not depend on which others there are, so that smaller draws are
    nested in larger ones, and an image added to a data set moves no other.

    Args:
        ids: (n,) str.
        seed: the data seed, or the split seed.
    """
    digests = [hashlib.sha256(f"{seed}/{image_id}".encode()).digest() for image_id in ids.tolist()]
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)


def draw_per_class(
    labels: NDArray[np.int64], ids: NDArray[np.str_], counts: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """Indices of the first ``counts[j]`` images of each class j in hash order, ascending.

    A class that has fewer images gives all it has.

    Args:
        labels: (N,) int64 in [0, K).
        ids: (N,) str.
        counts: (K,) images to draw from each class.
        seed: what the hash order depends on.
    """
    order = hash_order(ids, seed)
    by_class = order[np.argsort(labels[order], kind="stable")]
    sizes = np.bincount(labels, minlength=len(counts))
    starts = np.cumsum(sizes) - sizes
    position = np.arange(len(labels)) - np.repeat(starts, sizes)
    return np.sort(by_class[position < np.repeat(counts, sizes)])


def evaluation_views(
    labels: NDArray[np.int64],
    ids: NDArray[np.str_],
    *,
    train_counts: NDArray[np.int64],
    rank: NDArray[np.int64],
    factor: float,
    seed: int,
) -> dict[str, NDArray[np.int64]]:
    """The named subsets of a test split, as ascending indices into it.

    The whole split, ``balanced`` where every class has equally many test images and ``all``
    otherwise; ``long_tailed``, in which the class of rank r keeps the first
    ``max(1, int(m * factor**(r / (K - 1))))`` of its images in hash order, m the largest class;
    ``head``, ``middle`` and ``tail`` of that view; ``balanced_head``, ``balanced_middle`` and
    ``balanced_tail`` of the whole split; ``many``, ``medium`` and ``few`` of the whole split, by
    more than 100, 20 to 100 and fewer than 20 training images.

    Args:
        labels: (N,) int64 in [0, K), of the test split.
        ids: (N,) str.
        train_counts: (K,) training images of each class.
        rank: (K,) the rank of each class in the long-tailed profile.
        factor: the imbalance factor of the long-tailed view, in (0, 1].
        seed: the split seed.
    """
    k = len(rank)
    sizes = np.bincount(labels, minlength=k)
    whole = np.arange(len(labels), dtype=np.int64)
    kept = np.maximum(profile_counts(k, int(sizes.max()), factor), 1)[rank]
    long_tailed = draw_per_class(labels, ids, kept, seed)
    groups = class_groups(rank)
    shots = {
        "many": train_counts > MANY_SHOT,
        "medium": (train_counts >= FEW_SHOT) & (train_counts <= MANY_SHOT),
        "few": train_counts < FEW_SHOT,
    }
    views = {"balanced" if np.all(sizes == sizes[0]) else "all": whole, "long_tailed": long_tailed}
    for prefix, images in (("", long_tailed), ("balanced_", whole)):
        for group, name in enumerate(GROUP_NAMES):
            views[prefix + name] = images[groups[labels[images]] == group]
    for name, members in shots.items():
        views[name] = whole[members[labels]]
    return views
