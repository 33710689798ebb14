"""CIFAR's official training and test set, wherever they are kept: an archive or class folders.

Both give the same ids, the same order and the same pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import ltcore
from ltcore_datasets import cifar_pickle
from ltcore_datasets.cifar_files import archived_files, extracted_files
from ltcore_datasets.cifar_releases import Release
from ltcore_datasets.class_folders import Listing, list_class_folders
from ltcore_datasets.decoding import decode_images
from ltcore_datasets.pool import Pool

SIDE = 32


@dataclass(frozen=True)
class OfficialSets:
    """The two sets of a release, no image decoded yet.

    Attributes:
        names: K class names, in label order.
        train: the official training set.
        test: the official test set.
        archive_positions: (N,) where the archive has each training image; None from class folders.
    """

    names: tuple[str, ...]
    train: Pool
    test: Pool
    archive_positions: NDArray[np.int64] | None


def open_sets(release: Release, root: Path, *, download: bool = False) -> OfficialSets:
    """Find a release below a folder: its archive, else what that extracts to, else class folders.

    Args:
        release: which one.
        root: the folder to look in.
        download: whether to fetch the archive where none of the three is there.

    Raises:
        DataError: none of them is there; or the first that is has another checksum than the
            official one, or another number of images.
    """
    archive, folder = root / release.archive, root / release.folder
    images = (root / "train", root / "test")
    if not archive.is_file() and not folder.is_dir() and not all(p.is_dir() for p in images):
        if not download:
            raise ltcore.DataError(
                f"{release.title} is not in {root}: looked for {archive}, {folder}, and class "
                f"folders in {images[0]} and {images[1]}. Set dataset.download to true, or "
                f"{release.where_to_put_it(root)}."
            )
        from ltcore_datasets.download import fetch

        fetch(release, root)
    if archive.is_file():
        return _from_files(release, archived_files(release, root), archive)
    if folder.is_dir():
        return _from_files(release, extracted_files(release, root), folder)
    return _from_class_folders(release, root)


def _from_files(release: Release, files: Mapping[str, bytes], source: Path) -> OfficialSets:
    meta = cifar_pickle.load(files[release.meta_file[0]], str(source))
    names = tuple(name.decode() for name in meta[release.names_key])

    def pool(split: str, parts: Iterable[str]) -> tuple[Pool, NDArray[np.int64]]:
        records = [cifar_pickle.load(files[part], str(source / part)) for part in parts]
        labels = [label for record in records for label in record[release.labels_key]]
        files_names = [name.decode() for record in records for name in record[b"filenames"]]
        data = np.concatenate([record[b"data"] for record in records])
        ids = [
            f"{split}/{names[label]}/{name}"
            for label, name in zip(labels, files_names, strict=True)
        ]
        return _archived_pool(data, labels, ids)

    train, positions = pool("train", release.train_files)
    test, _ = pool("test", release.test_files)
    return OfficialSets(names, train, test, positions)


def _archived_pool(
    data: NDArray[np.uint8], labels: list[int], ids: list[str]
) -> tuple[Pool, NDArray[np.int64]]:
    """The images of an archive, and where it has each of them.

    Args:
        data: (N, 3072) uint8: the red plane of each image, then the green, then the blue.
        labels: N labels, in the archive's order.
        ids: N ids, likewise.
    """
    order = np.array(sorted(range(len(ids)), key=lambda i: (labels[i], ids[i])), dtype=np.int64)

    def read(indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        planes = data[order[indices]].reshape(-1, 3, SIDE, SIDE)
        # Pixel by pixel in memory, as class folders give them, and as convolutions run fastest.
        return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)

    return Pool(np.array(labels, dtype=np.int64)[order], np.array(ids)[order], read), order


def _from_class_folders(release: Release, root: Path) -> OfficialSets:
    train, test = (list_class_folders(root, split) for split in ("train", "test"))
    _check_sizes(train, release, release.train_per_class)
    _check_sizes(test, release, release.test_per_class)
    differing = set(train.names) ^ set(test.names)
    if differing:
        raise ltcore.DataError(
            f"{root}: only one of train and test has the class folder {min(differing)!r}. Restore "
            f"them: {release.title}'s classes are the same in both."
        )
    return OfficialSets(train.names, _listed_pool(train, root), _listed_pool(test, root), None)


def _check_sizes(listing: Listing, release: Release, size: int) -> None:
    if len(listing.names) != release.num_classes:
        raise ltcore.DataError(
            f"{listing.source} has {len(listing.names)} class folders, and {release.title} has "
            f"{release.num_classes} classes. Point dataset.root to {release.title}'s images."
        )
    for name, count in Counter(listing.classes).items():
        if count != size:
            raise ltcore.DataError(
                f"{listing.source / name} has {count} images, and {release.title} has {size} of "
                "each class there. Restore the folder: results on other images do not compare."
            )


def _listed_pool(listing: Listing, root: Path) -> Pool:
    index = {name: label for label, name in enumerate(listing.names)}
    labels = np.array([index[name] for name in listing.classes], dtype=np.int64)

    def read(indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        return decode_images([root / listing.paths[i] for i in indices], side=SIDE)

    return Pool(labels, np.array(listing.paths), read)
