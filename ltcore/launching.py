"""Starting the ranks of a run as processes of this machine, and ending all where one ends badly."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ltcore.errors import LostRankError, StoppedError, SurroundingsError
from ltcore.ranks import Rank, this_rank
from ltcore.stopping import StopRequest

GRACE_SECONDS = 5.0  # how long the others may take to end by themselves, where one has ended
_LOOK_SECONDS = 0.02


def launch(arguments: Sequence[str], ranks: int, stop: StopRequest) -> int:
    """Run ``ltcore`` with the same arguments as each rank, and wait until all have ended.

    The ranks share this process's stdout and stderr. A stop that is asked for is passed on to them;
    where this process dies, they stop as on SIGTERM.

    Args:
        arguments: of the command line.
        ranks: how many; each gets its share of the processor's cores as threads, unless
            OMP_NUM_THREADS says how many.
        stop: a way to ask the run to stop.

    Returns:
        The exit code of the rank that failed first, or 0.

    Raises:
        StoppedError: the ranks were asked to stop, and did.
        LostRankError: a rank was killed.
        SurroundingsError: the ranks could not be started.
    """
    # a rank finds what this process does: -m alone would put the current folder in front
    command = [sys.executable, "-P", "-m", "ltcore", *arguments]
    with _meeting_folder() as folder, stop.waiting():
        meeting = str(folder / "rendezvous")
        processes: list[subprocess.Popen[bytes]] = []
        try:
            for number in range(ranks):
                process = _start(command, Rank(number, ranks, number, meeting))
                processes.append(process)
            _watch(processes, stop)
        except OSError as error:
            raise SurroundingsError(
                f"--nproc: rank {len(processes)} of {ranks} could not be started: "
                f"{error.strerror}. Start fewer, or make room."
            ) from None
        except KeyboardInterrupt:
            _signal(processes, signal.SIGINT)
            _wait(processes, GRACE_SECONDS)
            raise
        finally:
            ended = [process.poll() for process in processes]
            _signal(processes, signal.SIGKILL)
            _wait(processes)
    return _exit_code(ended, stop)


def end_with_launcher() -> None:
    """In a rank: stop as on SIGTERM when the launcher has died; its end of stdin closes then."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    if this_rank().launched:
        threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _meeting_folder() -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="ltcore-", ignore_cleanup_errors=True)
    except OSError as error:
        raise SurroundingsError(
            f"--nproc: the ranks have no temporary folder to meet in: {error.strerror}. Make room, "
            "or set TMPDIR to a folder that can be written."
        ) from None
    with folder as name:
        yield Path(name)


def _start(command: Sequence[str], rank: Rank) -> subprocess.Popen[bytes]:
    threads = max(1, _cores() // rank.of)
    return subprocess.Popen(  # noqa: S603 - this very interpreter and program
        command,
        env={
            "OMP_NUM_THREADS": str(threads),
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            **rank.environment(),
        },
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches the launcher alone, which passes it on
    )


def _cores() -> int:
    """How many this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # Linux
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _watch(processes: Sequence[subprocess.Popen[bytes]], stop: StopRequest) -> None:
    """Return when all have ended, or some time after the first has."""
    passed_on, deadline = False, float("inf")
    while any(process.poll() is None for process in processes):
        if stop.asked and not passed_on:
            _signal(processes, signal.SIGTERM)
            passed_on = True
        if deadline == float("inf") and any(process.poll() is not None for process in processes):
            deadline = time.monotonic() + GRACE_SECONDS
        if time.monotonic() > deadline:
            return
        time.sleep(_LOOK_SECONDS)


def _signal(processes: Sequence[subprocess.Popen[bytes]], number: int) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)


def _wait(processes: Sequence[subprocess.Popen[bytes]], seconds: float | None = None) -> None:
    until = None if seconds is None else time.monotonic() + seconds
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(None if until is None else max(0.0, until - time.monotonic()))


def _exit_code(ended: Sequence[int | None], stop: StopRequest) -> int:
    """Of codes, negative where a signal ended the rank, None where it had to be ended."""
    failed = {code for code in ended if code}
    # SIGTERM kills a rank that has not got so far as to handle it
    stopped = {StoppedError.exit_code} | ({-signal.SIGTERM} if stop.asked else set())
    if failed and failed <= stopped:
        stop.reason = stop.reason or "a signal to a rank"
        stop.refuse()
    for number, code in enumerate(ended):
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            raise LostRankError(
                f"rank {number} was killed by {name} (where it was not you, see whether the "
                "machine's memory was full). The same command goes on from the last checkpoint."
            )
    return next((code for code in ended if code), 0)
