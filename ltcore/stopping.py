"""Asking a run to stop, and the signals that do: nothing here knows what runs."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from ltcore.errors import LtcoreError, PluginError, StoppedError

SIGNALS = ("SIGTERM", "SIGUSR1")


class StopRequest:
    """Whether a run is to stop.

    While training, a step ends and a checkpoint is written first (:attr:`waits`); before and after,
    nothing is lost by stopping at once. Only an import ends first: an exception in its midst would
    be taken for the package's own, or be hidden by it.

    Attributes:
        reason: who asked, for the message; empty where nobody did.
        waits: whether whoever trains looks here between its steps.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.waits = False

    @property
    def asked(self) -> bool:
        """Whether somebody asked."""
        return bool(self.reason)

    def ask(self, reason: str, *, at_once: bool = True) -> None:
        """Ask the run to stop.

        Args:
            reason: who asks.
            at_once: whether it may stop here; else where it looks next.

        Raises:
            StoppedError: it can stop at once.
        """
        self.reason = reason
        if at_once and not self.waits:
            self.refuse()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """While training: a request waits for the end of the step."""
        self.refuse()
        self.waits = True
        try:
            yield
        finally:
            self.waits = False

    def refuse(self) -> None:
        """Stop here where somebody asked.

        Raises:
            StoppedError: somebody did.
        """
        if self.asked:
            raise StoppedError(f"stopped by {self.reason}; the same command goes on")


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """A request that SIGTERM and SIGUSR1 make; the handlers before are put back.

    Outside the main thread, where Python lets nobody handle signals, nothing is handled.

    Raises:
        StoppedError: somebody asked; also where the code that was at work made an error of its own
            of that, as torch does while it loads weights.
    """
    stop = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        stop.ask(signal.Signals(number).name, at_once=not _is_importing(frame))

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in SIGNALS:
            number = getattr(signal, name, None)  # Windows has no SIGUSR1
            if number is not None:
                before[number] = signal.signal(number, handle)
    try:
        yield stop
    except Exception as error:
        if not isinstance(error, LtcoreError) or isinstance(error, PluginError):
            stop.refuse()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether what runs there was called by an import."""
    while frame is not None:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            return True
        frame = frame.f_back
    return False
