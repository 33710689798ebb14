"""Files that are there whole or not at all, and results files whose every byte is verified.

A results file begins with a 512-byte user block, ``ltcore-results 1 sha256 <hex>`` and zeros, the
digest being that of all that follows. It is checked before HDF5 parses a byte: one flipped bit can
otherwise change a number unseen, or hang the library.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from ltcore.errors import ResultsFileError, SurroundingsError

USER_BLOCK = 512
_MAGIC = b"ltcore-results 1 sha256 "
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def publish(content: memoryview, target: Path) -> None:
    """Fill in the user block and put the file in place: write, fsync, rename, fsync of the folder.

    Args:
        content: the HDF5 file with an empty user block; its first 512 bytes are overwritten.
        target: where it goes; the temporary lies in the folder of the same name without suffix.

    Raises:
        SurroundingsError: disk full, or no permission; what was at ``target`` is as it was.
    """
    content[:USER_BLOCK] = _user_block(hashlib.sha256(content[USER_BLOCK:]).hexdigest())
    workspace = target.with_suffix("")
    try:
        publish_bytes(content, target, workspace / "results.h5.tmp")
    finally:
        with contextlib.suppress(OSError):
            workspace.rmdir()


def publish_bytes(content: memoryview, target: Path, temporary: Path) -> None:
    """Put a file in place whose content is in memory; see :func:`publishing`."""
    with publishing(target, temporary, len(content)):
        temporary.write_bytes(content)


@contextlib.contextmanager
def publishing(target: Path, temporary: Path, size: int) -> Iterator[None]:
    """Put in place what the block writes: fsync, rename, fsync of the folder.

    Args:
        target: where it goes; what is there gives way.
        temporary: the file that the block writes, on the same file system.
        size: about how many bytes it has.

    Raises:
        SurroundingsError: disk full, or no permission; what was at ``target`` is as it was.
    """
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        yield
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise _explained(error, target, size) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


class Writing:
    """A new file that code writes which must not meet an exception while it does, as C++.

    The first exception of writing, Ctrl-C among them, is kept; nothing is written after it, and the
    end of the block raises it.

    Args:
        path: the file's.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._file = self._path.open("wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        if self._error and kind is None:
            raise self._error

    def write(self, content: memoryview | bytes) -> int:
        """Write; gives the number of bytes, as though there were no error."""
        if self._error is None:
            try:
                self._file.write(content)
            except BaseException as error:
                self._error = error
        return memoryview(content).nbytes

    def flush(self) -> None:
        """Nothing: the end of the block writes all."""


def verify(path: Path) -> bool:
    """Check a results file's digest.

    Returns:
        True where the digest held, False for an HDF5 file without our user block.

    Raises:
        OSError: the file is missing or cannot be read.
        ResultsFileError: the digest does not hold, or this is no HDF5 file.
    """
    if path.exists() and not path.is_file():  # a pipe or a device would never end
        raise ResultsFileError("not a file")
    with path.open("rb") as file:
        block = file.read(USER_BLOCK)
        if block.startswith(_HDF5_SIGNATURE):
            return False
        if not block:
            raise ResultsFileError("an empty file")
        if not block.startswith(_MAGIC):
            raise ResultsFileError(
                "begins neither as ltcore's results files do nor as HDF5 does: damaged, written by "
                "a newer ltcore, or something else"
            )
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if block != _user_block(digest):
        raise ResultsFileError(
            "damaged: its content does not have the SHA-256 that it was written with. Restore it "
            "from a copy, or remove it and run its spec again."
        )
    return True


def _user_block(digest: str) -> bytes:
    return (_MAGIC + digest.encode() + b"\n").ljust(USER_BLOCK, b"\0")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def _explained(error: OSError, target: Path, size: int) -> SurroundingsError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SurroundingsError(
            f"{target}: the disk is full; {size:,} bytes are needed. Make room and start again."
        )
    where = f" ({error.filename})" if error.filename else ""
    return SurroundingsError(
        f"{target}: cannot be written: {error.strerror}{where}. Choose another folder with --out, "
        "or mend its permissions."
    )
