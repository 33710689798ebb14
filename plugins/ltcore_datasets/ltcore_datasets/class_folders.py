"""Images in a folder a class: which there are, and of which class. No image is opened here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import ltcore

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Listing:
    """Image files and their classes.

    Attributes:
        source: the folder or file that says so, for messages.
        paths: N paths relative to the data set's root, with slashes: their ids.
        classes: N class names, one an image.
        names: the K class names, in label order.
    """

    source: Path
    paths: tuple[str, ...]
    classes: tuple[str, ...]
    names: tuple[str, ...]


def list_class_folders(root: Path, folder: str) -> Listing:
    """The images in ``root/folder/<class>``, at any depth; the classes are the sorted folder names.

    Hidden files and folders are passed over, and so are files that are no images by their name.
    A class folder may be a link to a folder; links to folders inside one are not followed.

    Args:
        root: what the ids are relative to.
        folder: the folder of the class folders, relative to the root; empty for the root itself.

    Raises:
        DataError: no class folder, one without an image, or a name that is no Unicode text.
    """
    source = root / folder
    names = sorted(e.name for e in os.scandir(source) if e.is_dir() and not _is_hidden(e))
    if not names:
        raise ltcore.DataError(
            f"{source} has no class folders: expected {source / '<class>' / '<image>'}"
        )
    paths, classes = [], []
    for name in names:
        files = sorted(_images_below(source / name, str(PurePosixPath(folder, name))))
        if not files:
            raise ltcore.DataError(
                f"{source / name} has no images (known by {', '.join(EXTENSIONS)}): "
                "remove the folder, or put images into it"
            )
        _require_unicode(files)
        paths += files
        classes += [name] * len(files)
    return Listing(source, tuple(paths), tuple(classes), tuple(names))


def _images_below(folder: Path, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_hidden(entry):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _images_below(folder / entry.name, f"{prefix}/{entry.name}")
            elif entry.name.lower().endswith(EXTENSIONS):
                yield f"{prefix}/{entry.name}"


def _require_unicode(paths: list[str]) -> None:
    """An id is hashed and stored as UTF-8, which a file name need not be."""
    for path in paths:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise ltcore.DataError(f"{path!r} is not named in UTF-8: rename it") from None


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".")
