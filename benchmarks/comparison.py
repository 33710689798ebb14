"""What a part of the benchmarks gives: contenders, and the ratios of theirs that have a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Options:
    """What was asked for at the command line.

    Attributes:
        quick: tiny sizes, whose ratios say nothing.
        models: backbones to train besides the usual ones.
    """

    quick: bool = False
    models: Sequence[str] = ()


@dataclass(frozen=True)
class Ratio:
    """One contender's value over another's, and the target that it is to reach.

    Attributes:
        of, to: names of contenders.
        at_least, at_most: the target, where there is one.
    """

    of: str
    to: str
    at_least: float | None = None
    at_most: float | None = None

    def target(self) -> str:
        """The target in words; empty where there is none."""
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return "" if self.at_most is None else f"at most {self.at_most:g}"

    def is_met(self, value: float) -> bool:
        """Whether the value reaches the target."""
        above = self.at_least is None or value >= self.at_least
        return above and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True)
class Comparison:
    """Contenders that do the same thing.

    Attributes:
        name: what they do.
        contenders: name -> a measurement of one round, in ``unit``.
        ratios: what is shown of them.
        unit: ``s`` or ``bytes``.
        warm_up: whether a round that does not count comes first; not where each measurement is
            that of a new process.
        repeats: rounds for each one that is asked for, where they are short.
        notes: what could not be measured, and why.
        remark: a line made from the contenders' medians.
    """

    name: str
    contenders: Mapping[str, Callable[[], float]] = field(default_factory=dict)
    ratios: Sequence[Ratio] = ()
    unit: str = "s"
    warm_up: bool = True
    repeats: int = 1
    notes: Sequence[str] = ()
    remark: Callable[[Mapping[str, float]], str] | None = None
