"""Images named by a list file: text lines as those of ImageNet-LT, or CSV. No image is opened."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import ltcore
from ltcore_datasets.class_folders import Listing

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class _Line:
    """An image of a list file; ``where`` is the file and the number of the line."""

    where: str
    path: str
    label: str
    split: str | None


def read_list_file(root: Path, name: str) -> dict[str | None, Listing]:
    """The images that a list file names, for each split that it tells apart, else under None.

    A ``.txt`` file has a line ``<path> <label>`` an image; the label is what follows the last
    blank. A ``.csv`` file has a header with ``path``, ``label`` and, where it tells splits apart,
    ``split``, which is ``train``, ``val`` or ``test``. Paths are relative to the root.

    Args:
        root: the folder of the data set.
        name: the file, relative to the root.

    Raises:
        DataError: a line that is malformed, or that names no file below the root, or a file that
            another line has named; or a file of another kind.
    """
    source = root / name
    readers = {".txt": _text_lines, ".csv": _csv_lines}
    if source.suffix.lower() not in readers:
        raise ltcore.DataError(f"{source} is neither a folder nor a list file (.txt or .csv)")
    found: dict[str | None, list[_Line]] = {}
    first_lines: dict[str, str] = {}
    try:
        for line in readers[source.suffix.lower()](source):
            _check_file(root, line)
            if line.path in first_lines:
                raise ltcore.DataError(
                    f"{line.where}: {line.path!r} was named before, in {first_lines[line.path]}"
                )
            first_lines[line.path] = line.where
            found.setdefault(line.split, []).append(line)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ltcore.DataError(f"{source} is no list file: {error}") from error
    if not found:
        raise ltcore.DataError(f"{source} names no images")
    return {split: _listing(source, lines) for split, lines in found.items()}


def _check_file(root: Path, line: _Line) -> None:
    path = PurePosixPath(line.path)
    if path.is_absolute() or ".." in path.parts:
        raise ltcore.DataError(f"{line.where}: {line.path!r} does not lie below {root}")
    if not (root / path).is_file():
        raise ltcore.DataError(f"{line.where}: there is no file {root / path}")


def _listing(source: Path, lines: list[_Line]) -> Listing:
    """The images of some lines; labels that are numbers are sorted as such."""
    labels = {line.label for line in lines}
    numbers = all(label.isdecimal() for label in labels)
    names = sorted(labels, key=lambda label: (int(label) if numbers else 0, label))
    return Listing(
        source,
        tuple(line.path for line in lines),
        tuple(line.label for line in lines),
        tuple(names),
    )


def _text_lines(source: Path) -> Iterator[_Line]:
    with source.open(encoding="utf-8-sig") as lines:
        for number, text in enumerate(lines, 1):
            if not text.strip():
                continue
            where, words = f"{source}:{number}", text.rsplit(maxsplit=1)
            if len(words) != 2:
                raise ltcore.DataError(f"{where}: expected '<path> <label>', is {text.strip()!r}")
            yield _Line(where, str(PurePosixPath(words[0].strip())), words[1], None)


def _csv_lines(source: Path) -> Iterator[_Line]:
    with source.open(encoding="utf-8-sig", newline="") as lines:
        table = csv.DictReader(lines)
        columns = table.fieldnames or []
        if not {"path", "label"} <= set(columns):
            raise ltcore.DataError(
                f"{source}:1: expected a header with the columns path and label, is "
                f"{','.join(columns)!r}"
            )
        for row in table:
            where = f"{source}:{table.line_num}"
            if not row["path"] or not row["label"]:
                raise ltcore.DataError(f"{where}: path or label is empty")
            split = row["split"] if "split" in columns else None
            if "split" in columns and split not in SPLITS:
                raise ltcore.DataError(f"{where}: split is {split!r}, not train, val or test")
            yield _Line(where, str(PurePosixPath(row["path"])), row["label"], split)
