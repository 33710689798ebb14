"""Where the images of each split of an ``image_folder`` are, and which they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import ltcore
from ltcore_datasets.class_folders import Listing, list_class_folders
from ltcore_datasets.list_files import SPLITS, read_list_file


def list_sources(root: Path, sources: Mapping[str, str | None]) -> dict[str, Listing]:
    """The images of each split that has some of its own; ``train`` always has.

    Two splits with one source are given one and the same listing.

    Args:
        root: the folder of the data set.
        sources: for each split the folder or list file below the root, or None to look for one.

    Raises:
        DataError: a source that is not there, or is no folder of class folders and no list file.
    """
    if not root.is_dir():
        raise ltcore.DataError(f"there is no folder {root.absolute()}: dataset.root names it")
    places = {split: _place(root, split, sources[split]) for split in SPLITS}
    train_place = places.pop("train")
    if train_place is None:
        if any(places.values()):
            raise ltcore.DataError(
                f"{root} has no folder 'train': set dataset.train to where the training images are"
            )
        train_place = PurePosixPath()
    of_train = _read(root, train_place)
    found = {train_place: of_train}
    if None not in of_train and "train" not in of_train:
        raise ltcore.DataError(f"{root / train_place} has no line whose split is train")
    listings = {"train": of_train.get(None) or of_train["train"]}
    for split, place in places.items():
        if place is None:
            if split in of_train:
                listings[split] = of_train[split]
            continue
        if place not in found:
            found[place] = _read(root, place)
        if None not in found[place]:
            raise ltcore.DataError(
                f"{root / place} has a column split: name it in dataset.train alone"
            )
        listings[split] = found[place][None]
    return listings


def _place(root: Path, split: str, source: str | None) -> PurePosixPath | None:
    """The source of a split below the root: what is named, or else the folder of its name."""
    if source is None:
        return PurePosixPath(split) if (root / split).is_dir() else None
    if not (root / source).exists():
        raise ltcore.DataError(f"there is no {root / source}: dataset.{split} names it")
    return PurePosixPath(source)


def _read(root: Path, place: PurePosixPath) -> dict[str | None, Listing]:
    if (root / place).is_dir():
        return {None: list_class_folders(root, "" if place == PurePosixPath() else str(place))}
    return read_list_file(root, str(place))
