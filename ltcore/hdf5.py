"""Plain numbers and strings in HDF5, nothing else: how they are written, and read from strangers.

Refused before memory is taken: links, external and virtual storage, object, reference and compound
types, data that was never written, and more data than a file of this size can hold.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import DTypeLike, NDArray

from ltcore.errors import ResultsFileError

# Logits do not compress to less than half, lists of labels and indices may by far: all that is read
# from one file may take this many bytes, or this many times the file's size.
_SMALL = 2**26
_LARGEST_GROWTH = 16
_CHARACTER = np.dtype("U1").itemsize


class PlainReader:
    """Reads arrays and attributes of one file by their path, ``test/logits``.

    It asks HDF5 through h5py's low-level interface, in a third of the time: a report opens some
    twenty things of each of many files.

    Args:
        path: the file.

    Raises:
        OSError: it is missing, cannot be read or is no HDF5 file.
    """

    def __init__(self, path: Path) -> None:
        self._size = path.stat().st_size
        self._bytes_left = max(_SMALL, _LARGEST_GROWTH * self._size)
        self._file = h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY, _access())
        self._opened: dict[str, Any] = {"": h5py.h5o.open(self._file, b"/")}
        self._links: dict[str, dict[str, bool]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.clear()
        self._file.close()

    def __contains__(self, path: str) -> bool:
        parent, _, name = path.rpartition("/")
        return name in self._links_in(parent)

    def members(self, path: str) -> list[str]:
        """The names of what is directly inside a group; none where there is no such group."""
        return list(self._links_in(path)) if path in self else []

    def numbers(self, path: str, dtype: DTypeLike, *, ndim: int) -> NDArray[Any]:
        """An array of numbers, as ``dtype``.

        Raises:
            ResultsFileError: it is missing, refused, or holds what ``dtype`` cannot.
        """
        dataset, shape, stored = self._dataset(path, ndim)
        if stored.kind not in "iufb":
            raise ResultsFileError(f"/{path} holds {stored}, should hold numbers")
        wanted = np.dtype(dtype)
        self._take(path, math.prod(shape) * (stored.itemsize + wanted.itemsize))
        array = _read(dataset, shape, stored)
        if stored == wanted:
            return array
        with np.errstate(all="ignore"):
            result = array.astype(wanted)
        if wanted.kind in "iu" and not np.array_equal(result, array):
            raise ResultsFileError(f"/{path} holds numbers that {wanted} cannot")
        return result

    def strings(self, path: str) -> NDArray[np.str_]:
        """A list of UTF-8 strings, of fixed or variable length.

        Raises:
            ResultsFileError: it is missing, refused, or holds something else.
        """
        dataset, shape, stored = self._dataset(path, 1)
        info = h5py.check_string_dtype(stored)
        if info is None:
            raise ResultsFileError(f"/{path} holds {stored}, should hold strings")
        try:
            if info.length is None:
                return self._variable_strings(path, dataset, shape[0], stored)
            return self._fixed_strings(path, dataset, shape, stored)
        except UnicodeDecodeError as error:
            raise ResultsFileError(f"/{path} holds strings that are not UTF-8: {error}") from None

    def text(self, name: str, default: str | None = None) -> str | None:
        """A string attribute of the file."""
        value = self._attribute(name, "a string", h5py.check_string_dtype)
        if value is None:
            return default
        encoded = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        try:
            return bytes(encoded).decode()
        except UnicodeDecodeError as error:
            raise ResultsFileError(f"its attribute {name!r} is not UTF-8: {error}") from None

    def number(self, name: str) -> float | None:
        """A numeric attribute of the file."""
        value = self._attribute(name, "a number", lambda dtype: dtype.kind in "iufb")
        return None if value is None else value.item()

    def whole_number(self, name: str) -> int | None:
        """A numeric attribute of the file without a fraction."""
        value = self.number(name)
        if value is not None and not float(value).is_integer():
            raise ResultsFileError(f"its attribute {name!r} is {value}, should be a whole number")
        return None if value is None else int(value)

    def json_object(self, name: str) -> dict[str, Any]:
        """A JSON object in a string attribute; empty where there is none."""
        try:
            value = json.loads(self.text(name) or "{}")
        except json.JSONDecodeError as error:
            raise ResultsFileError(f"its attribute {name!r} is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise ResultsFileError(f"its attribute {name!r} is no JSON object")
        return value

    def _attribute(self, name: str, kind: str, is_kind: Callable[[np.dtype[Any]], Any]) -> Any:
        """One value; some programs write it as an array of one."""
        try:
            header = h5py.h5a.open(self._opened[""], _encoded(name))
        except KeyError:
            return None
        shape, dtype = header.shape, header.dtype
        if shape is None or math.prod(shape) != 1 or not is_kind(dtype):
            raise ResultsFileError(
                f"its attribute {name!r} is {dtype} of shape {shape}, should be {kind}"
            )
        value = np.empty(shape, dtype)
        header.read(value, _in_memory(dtype, h5py.check_string_dtype(dtype)))
        return value.flat[0]

    def _links_in(self, path: str) -> dict[str, bool]:
        """Name -> whether it is a hard link, of what is directly inside a group."""
        if path not in self._links:
            found: list[tuple[bytes, Any]] = []
            group = self._open(path, h5py.h5g.GroupID, "group")
            group.links.iterate(lambda name, info: found.append((name, info.type)), info=True)
            self._links[path] = {_decoded(name): of == h5py.h5l.TYPE_HARD for name, of in found}
        return self._links[path]

    def _open(self, path: str, kind: type, called: str) -> Any:
        if path not in self._opened:
            parent, _, name = path.rpartition("/")
            is_hard = self._links_in(parent).get(name)
            if is_hard is None:
                raise ResultsFileError(f"/{path} is missing")
            if not is_hard:
                raise ResultsFileError(f"/{path} is a link, which is refused")
            self._opened[path] = h5py.h5o.open(self._opened[parent], _encoded(name))
        if not isinstance(self._opened[path], kind):
            raise ResultsFileError(f"/{path} is not a {called}")
        return self._opened[path]

    def _dataset(self, path: str, ndim: int) -> tuple[Any, tuple[int, ...], np.dtype[Any]]:
        """A data set that may be read, its shape, and what it holds."""
        dataset = self._open(path, h5py.h5d.DatasetID, "dataset")
        shape, stored = dataset.shape or (), dataset.dtype
        if dataset.get_offset() is None:  # not in one piece of this file
            self._check_storage(path, dataset, stored)
        if len(shape) != ndim:
            raise ResultsFileError(f"/{path} has {len(shape)} dimensions, should have {ndim}")
        if math.prod(shape) > 0 and dataset.get_storage_size() == 0:
            raise ResultsFileError(f"/{path} was never written")
        return dataset, shape, stored

    def _check_storage(self, path: str, dataset: Any, stored: np.dtype[Any]) -> None:
        properties = dataset.get_create_plist()
        layout = properties.get_layout()
        if layout == h5py.h5d.VIRTUAL or properties.get_external_count():
            raise ResultsFileError(f"/{path} is stored outside the file, which is refused")
        if layout == h5py.h5d.CHUNKED:  # HDF5 unpacks whole chunks, one at a time
            self._require(path, math.prod(properties.get_chunk()) * stored.itemsize)

    def _fixed_strings(
        self, path: str, dataset: Any, shape: tuple[int, ...], stored: np.dtype[Any]
    ) -> NDArray[np.str_]:
        self._take(path, math.prod(shape) * stored.itemsize * (1 + _CHARACTER))
        return _texts(_read(dataset, shape, stored).tobytes(), stored.itemsize)

    def _variable_strings(
        self, path: str, dataset: Any, n: int, stored: np.dtype[Any]
    ) -> NDArray[np.str_]:
        self._take(path, n * stored.itemsize)
        texts = h5py.Dataset(dataset).asstr()
        strings: list[str] = []
        while len(strings) < n:
            # All may share one string as long as the file, so that no more are read than would fit.
            several = max(1, self._bytes_left // self._size)
            batch = texts[len(strings) : len(strings) + several]
            self._take(path, sum(map(len, batch)))
            strings.extend(batch)
        self._take(path, n * _CHARACTER * max(map(len, strings), default=0))
        return np.array(strings, dtype=np.str_)

    def _take(self, path: str, nbytes: int) -> None:
        self._require(path, nbytes)
        self._bytes_left -= nbytes

    def _require(self, path: str, nbytes: int) -> None:
        if nbytes > self._bytes_left:
            raise ResultsFileError(
                f"/{path} claims {nbytes:,} bytes of memory in a file of {self._size:,}, which is "
                "refused"
            )


def write_array(file: h5py.File, path: str, array: NDArray[Any]) -> None:
    """Write an array, and the groups above it, in half the time of h5py's own way.

    Args:
        file: open for writing.
        path: ``test/logits``; nothing is there yet.
        array: numbers, or strings of h5py's types.
    """
    groups, contents = _creation()
    kind = h5py.h5t.py_create(array.dtype, logical=True)
    space = h5py.h5s.create_simple(array.shape)
    dataset = h5py.h5d.create(file.id, _encoded(path), kind, space, contents, groups)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(array))


@lru_cache(maxsize=1)
def _creation() -> tuple[Any, Any]:
    """How arrays are made: with the groups above them, and without the time of day."""
    groups = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    groups.set_create_intermediate_group(True)
    groups.set_char_encoding(h5py.h5t.CSET_UTF8)
    contents = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    contents.set_obj_track_times(False)
    return groups, contents


@lru_cache(maxsize=1)
def _access() -> Any:
    """How files are opened: what an error's traceback still holds of one is closed with it."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    return access


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


@lru_cache(maxsize=4)
def _texts(content: bytes, width: int) -> NDArray[np.str_]:
    """Strings of UTF-8; of equal content one array, that files of one test set share."""
    encoded = np.frombuffer(content, dtype=f"S{width}")
    try:
        texts: NDArray[np.str_] = encoded.astype(np.str_)  # ASCII alone, and ten times as fast
    except UnicodeDecodeError:
        texts = np.char.decode(encoded, "utf-8")
    texts.flags.writeable = False
    return texts


def _read(dataset: Any, shape: tuple[int, ...], stored: np.dtype[Any]) -> NDArray[Any]:
    array = np.empty(shape, stored)
    if array.size:
        memory = _in_memory(stored, h5py.check_string_dtype(stored))
        dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, array, memory)
    return array


@lru_cache(maxsize=64)
def _in_memory(dtype: np.dtype[Any], strings: Any) -> Any:
    """HDF5's type of an array in memory, which h5py makes anew for each that it reads.

    Args:
        dtype: of the array.
        strings: what is known of strings: all that tells two types of variable length apart.
    """
    return h5py.h5t.py_create(dtype)
