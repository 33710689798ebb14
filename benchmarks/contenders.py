"""Contenders that live in processes of their own, so that none has another's memory or threads."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

import torch

Build = Callable[[], Callable[[], float]]


@contextmanager
def in_processes(builds: Mapping[str, Build]) -> Iterator[dict[str, Callable[[], float]]]:
    """Contenders that wait in processes of their own, each with as many threads as torch has here.

    Args:
        builds: what makes each contender, in its process.
    """
    workers: dict[str, _Worker] = {}
    try:
        for name, build in builds.items():
            workers[name] = _Worker(build)
        for worker in workers.values():
            worker.result()  # built
        yield {name: worker.measure for name, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.end()


class _Worker:
    """A process that builds a contender and measures it each time it is asked to."""

    def __init__(self, build: Build) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        # no daemon: loaders have processes too
        self._process = context.Process(
            target=_serve,
            args=(theirs, build, torch.get_num_threads(), multiprocessing.get_start_method()),
        )
        self._process.start()
        theirs.close()

    def measure(self) -> float:
        with suppress(BrokenPipeError):  # it has ended, which reading tells
            self._connection.send(True)
        return self.result()

    def result(self) -> float:
        try:
            result: float = self._connection.recv()
        except EOFError:
            raise RuntimeError("a contender's process has ended; see above") from None
        return result

    def end(self) -> None:
        self._connection.close()
        self._process.join(10)
        self._process.kill()


def _serve(connection: Connection, build: Build, threads: int, start_method: str) -> None:
    torch.set_num_threads(threads)
    # A loader's workers begin as in any program, not as this process did.
    multiprocessing.set_start_method(start_method, force=True)
    contender = build()
    connection.send(0.0)
    while True:
        try:
            connection.recv()
        except EOFError:
            return
        connection.send(contender())
