"""Every error that ltcore raises on purpose, and the exit code that each one means.

::

    LtcoreError                 1  the run failed
    ├── SpecError               2  the command line or the spec is wrong
    ├── PluginError             2  a plugin that the run needs is missing or broken
    ├── ExistingResultsError    2  the name is taken by a finished run of another spec
    ├── ResultsFileError        3  a results file could not be read
    ├── CheckpointError         2  an interrupted run cannot go on as it was begun
    ├── NonFiniteError          4  a loss, gradient or logit became NaN or infinite
    ├── LostRankError           1  of several ranks, one died or did not answer
    ├── AnotherRankError        1  another rank failed first; an instance has its exit code
    ├── SurroundingsError       5  no such device, no permission, disk full
    │   └── DataError           5  images or labels are missing, damaged or too few
    ├── RunningElsewhereError   6  another process is running this run
    └── StoppedError           75  asked to stop; the same command goes on

A message says what is wrong, where, and how to mend it, in that order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

INTERRUPTED = 130


class LtcoreError(Exception):
    """The base of all errors that ltcore raises on purpose."""

    exit_code: ClassVar[int] = 1


@dataclass(frozen=True)
class Mistake:
    """One mistake in a spec.

    Attributes:
        field: the dotted path of the field, as ``--set`` takes it; empty for the whole document.
        message: what is wrong with it and how to mend it; it may run over several lines.
    """

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class SpecError(LtcoreError):
    """The command line or a spec is wrong; all mistakes of a spec are told at once.

    Attributes:
        mistakes: the mistakes, in the order of the fields.
        source: the file they were found in, or None.
    """

    exit_code = 2

    def __init__(self, mistakes: str | Sequence[Mistake], source: str | None = None) -> None:
        self.mistakes = (Mistake("", mistakes),) if isinstance(mistakes, str) else tuple(mistakes)
        self.source = source
        prefix = f"{printable(source)}: " if source else ""
        super().__init__("\n".join(f"{prefix}{mistake}" for mistake in self.mistakes))


class PluginError(LtcoreError):
    """A plugin that the run needs is missing, broken, or hands over nonsense."""

    exit_code = 2


class ExistingResultsError(LtcoreError):
    """A finished run of another spec has this name."""

    exit_code = 2


class ResultsFileError(LtcoreError):
    """A results file is missing, damaged, newer than this ltcore, or no results file at all."""

    exit_code = 3


class CheckpointError(LtcoreError):
    """An interrupted run cannot go on: its checkpoint is damaged, or the spec is another."""

    exit_code = 2


class NonFiniteError(LtcoreError):
    """A loss, gradient or logit became NaN or infinite, or what an optimizer keeps of gradients."""

    exit_code = 4


class LostRankError(LtcoreError):
    """Of several ranks, one died or did not answer in time."""


class AnotherRankError(LtcoreError):
    """Another rank of the run failed first; its own message says why.

    Attributes:
        rank: which one.
        exit_code: of its error.
    """

    def __init__(self, rank: int, exit_code: int) -> None:
        super().__init__(f"rank {rank} failed first; its own message says why")
        self.rank = rank
        self.exit_code = exit_code  # type: ignore[misc]


class SurroundingsError(LtcoreError):
    """The machine lacks what the run needs: a device, a permission, room on the disk."""

    exit_code = 5


class DataError(SurroundingsError):
    """Images or labels are missing, damaged or too few."""


class RunningElsewhereError(LtcoreError):
    """Another process is running this run."""

    exit_code = 6


class StoppedError(LtcoreError):
    """The run was asked to stop; started again, it goes on from its checkpoint."""

    exit_code = 75


class LtcoreWarning(UserWarning):
    """Something that the user should know, and that stops nothing."""


def exit_code_of(error: BaseException) -> int:
    """What ``ltcore`` leaves with: 130 on Ctrl-C, and 1 for an exception that is not ltcore's."""
    if isinstance(error, LtcoreError):
        return error.exit_code
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1


def printable(text: str) -> str:
    """A text with escapes in the place of what a terminal would obey or hide."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def flat(text: str) -> str:
    """A text in one printable line, with a space in the place of each run of white space."""
    return printable(" ".join(text.split()))


def one_line(error: BaseException) -> str:
    """An exception in one printable line: ``ImportError: No module named 'bar'``."""
    return flat(f"{type(error).__name__}: {error}").rstrip(": ")
