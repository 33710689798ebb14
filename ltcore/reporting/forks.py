"""The same work on many things at once, in copies of this process."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import struct
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NoReturn, TypeVar

_Item = TypeVar("_Item")

_LENGTH = struct.Struct("!Q")  # before each result, in bytes
_WORTH_A_FORK = 8  # things; a fork takes about as long as one of them
_MOST = 8  # forks; each has a file in memory
_HANDLED = (signal.SIGINT, signal.SIGTERM)
_AHEAD = 2**20  # bytes of results that a fork may have written and nobody read


def forks_for(items: int) -> int:
    """How many forks repay themselves for so many things; none where forking is not safe."""
    if sys.platform != "linux":
        return 0
    several = min(len(os.sched_getaffinity(0)), items // _WORTH_A_FORK, _MOST)
    return several if several > 1 else 0


def letting_go(items: Iterable[_Item]) -> Iterator[_Item]:
    """Each item in turn; those that were given are not kept."""
    left = deque(items)
    del items
    while left:
        yield left.popleft()


class Forks(Iterator[bytes]):
    """Each thing's result, in the order of the things; the forks begin at once.

    What a fork does not deliver, because it had no room, was killed or its work raised an error,
    this process does itself: no result is missing, and an error is raised here.

    Args:
        work: what is done; it must start no thread, and write nothing.
        items: what it is done to.
        forks: how many; of 0 this process does all.
    """

    def __init__(self, work: Callable[[_Item], bytes], items: Sequence[_Item], forks: int) -> None:
        self._work = work
        self._items = enumerate(letting_go(items))
        self._forks = forks
        self._workers: list[_Worker] = []
        try:
            with contextlib.suppress(OSError):  # no room for another process
                for first in range(forks):
                    self._workers.append(_Worker(work, items[first::forks], self._workers))
        except BaseException:
            self.close()
            raise

    def __next__(self) -> bytes:
        try:
            number, item = next(self._items)
            place = number % self._forks if self._forks else 0
            result = self._workers[place].next_result() if place < len(self._workers) else None
            return self._work(item) if result is None else result
        except BaseException:  # an end among it
            self.close()
            raise

    def close(self) -> None:
        """End the forks, whatever they still do."""
        while self._workers:
            self._workers.pop().end()


class _Worker:
    """A fork, and the pipe through which its results come.

    Args:
        work: what it does.
        items: what it does it to.
        others: those before it.
    """

    def __init__(
        self, work: Callable[[_Item], bytes], items: Sequence[_Item], others: Sequence[_Worker]
    ) -> None:
        import fcntl  # not on every system

        receiving, sending = os.pipe()
        with contextlib.suppress(OSError):  # more than this user may have
            fcntl.fcntl(sending, fcntl.F_SETPIPE_SZ, _AHEAD)
        self.results: BinaryIO = os.fdopen(receiving, "rb")
        # No handler of this process may run in its copy.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        try:
            with warnings.catch_warnings():
                # Python 3.12 warns of any thread, as of those with which numpy multiplies matrices.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._process = os.fork()
            if self._process == 0:
                _work_and_exit(work, items, sending, [self, *others])
        except OSError:
            self.results.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(sending)

    def next_result(self) -> bytes | None:
        """The next of its results, waited for; None where it has ended."""
        header = self.results.read(_LENGTH.size)
        if len(header) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack(header)
        result = self.results.read(length)
        return result if len(result) == length else None

    def end(self) -> None:
        """End it, whatever it still does."""
        self.results.close()
        with contextlib.suppress(ChildProcessError):  # gone, where SIGCHLD is ignored
            if os.waitpid(self._process, os.WNOHANG) == (0, 0):
                os.kill(self._process, signal.SIGKILL)
                os.waitpid(self._process, 0)


def _work_and_exit(
    work: Callable[[_Item], bytes],
    items: Sequence[_Item],
    sending: int,
    known: Sequence[_Worker],
) -> NoReturn:
    """What a fork does; it leaves without the buffers and exit hooks that it is a copy of."""
    try:
        for number in (*_HANDLED, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        for worker in known:  # else a fork would not see that who reads its results has gone
            os.close(worker.results.fileno())
        gc.freeze()  # what it is a copy of is not looked through again, and so stays shared
        with os.fdopen(sending, "wb") as results:
            for item in items:
                result = work(item)
                results.write(_LENGTH.pack(len(result)))
                results.write(result)
                results.flush()
    finally:
        os._exit(0)
