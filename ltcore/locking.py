"""One writer a run: a lock that dies with its holder, taken before anything heavy is imported.

The lock is the operating system's (flock): it survives neither its holder nor a reboot, so that the
lock file of a dead process blocks nobody. On a folder that hosts share it holds as far as the file
system passes locks between them: NFS 4 and most cluster file systems do; NFS 3 without its lock
daemon, and some FUSE and object-store mounts, do not.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from ltcore.errors import RunningElsewhereError, SurroundingsError

_LOCK = "lock"
_HOLDER = "holder.json"
_LOOKS, _LOOK_SECONDS = 20, 0.025


@contextlib.contextmanager
def only_writer(folder: Path, name: str) -> Iterator[None]:
    """Be the only process that writes in a run's folder.

    Args:
        folder: the run's own, made where it is missing; the lock's files go with the context.
        name: the run's, for messages.

    Raises:
        RunningElsewhereError: another process is; its host and process id are named.
        SurroundingsError: the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK)
    holder = folder / _HOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise RunningElsewhereError(
            f"{name} is being run by {_described(holder)}. Wait for it, or stop it first."
        ) from None
    except OSError as error:
        raise SurroundingsError(
            f"{folder}: cannot be written: {error.strerror}. Choose another folder with --out, or "
            "mend its permissions."
        ) from None
    try:
        with contextlib.suppress(OSError):  # only messages lack it
            holder.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
        yield
    finally:
        with contextlib.suppress(OSError):
            holder.unlink(missing_ok=True)
            (folder / _LOCK).unlink(missing_ok=True)
            folder.rmdir()
        lock.release()


def is_held_or_left(folder: Path) -> bool:
    """Whether a process writes in the folder, or died while it did: a kept folder has no lock."""
    return (folder / _LOCK).exists()


def _described(holder: Path) -> str:
    for _ in range(_LOOKS):  # it is written a moment after the lock is taken
        try:
            known = json.loads(holder.read_text())
            return f"process {int(known['pid'])} on {known['host']}"
        except (OSError, ValueError, TypeError, KeyError):
            time.sleep(_LOOK_SECONDS)
    return "another process"
