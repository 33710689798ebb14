"""Running the rules of a kind of component: which were looked at, and which are broken.

A rule is a function: its name is the rule's, the first paragraph of its docstring says what is
expected, and it raises :class:`BrokenRuleError` with what was found. No component is known here.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ltcore.errors import LtcoreWarning, PluginError

Rule = Callable[[Any], None]


@dataclass(frozen=True)
class Stage:
    """Rules that are looked at together.

    Attributes:
        rules: in order.
        subject: what each is called with.
        essential: whether a broken one leaves nothing to be learnt from later stages.
    """

    rules: Sequence[Rule]
    subject: object
    essential: bool = False


class ConformanceError(PluginError, AssertionError):
    """A component breaks rules that a run relies on; to pytest, a failed assertion.

    Attributes:
        broken: rule -> what was found.
        kept: the rules that were looked at and hold.
    """

    def __init__(
        self, message: str, broken: Mapping[str, str] | None = None, kept: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.broken = dict(broken or {})
        self.kept = tuple(kept)


class BrokenRuleError(Exception):
    """A rule does not hold; the text says what was found."""


class NotApplicableError(Exception):
    """A rule says nothing of this component."""


def run_rules(stages: Sequence[Stage], *, label: str, skip: Collection[str]) -> tuple[str, ...]:
    """Look at each rule, up to the first essential stage in which one is broken.

    Args:
        stages: in order.
        label: what is checked, for the messages.
        skip: names of rules not to look at.

    Returns:
        The names of the rules that were looked at: at least one.

    Raises:
        ConformanceError: a rule is broken, none was looked at, or ``skip`` names none of them.
    """
    _check_skip(stages, label, skip)
    kept: list[str] = []
    broken: dict[Rule, Exception] = {}
    for stage in stages:
        broken_before = len(broken)
        for rule in stage.rules:
            if rule.__name__ in skip:
                continue
            try:
                _look_at(rule, stage.subject)
                kept.append(rule.__name__)
            except NotApplicableError:
                continue
            except Exception as error:
                broken[rule] = error
        if stage.essential and len(broken) > broken_before:
            break
    if broken:
        raise _error(label, broken, kept)
    if not kept:
        raise ConformanceError(f"{label}: no rule was looked at, so nothing is known of it")
    return tuple(kept)


def _check_skip(stages: Sequence[Stage], label: str, skip: Collection[str]) -> None:
    known = [rule.__name__ for stage in stages for rule in stage.rules]
    unknown = sorted(set(skip).difference(known))
    if unknown:
        raise ConformanceError(
            f"{label}: skip names no rule: {', '.join(unknown)}. Known: {', '.join(known)}"
        )


def _look_at(rule: Rule, subject: object) -> None:
    """Call a rule; the global random state stays as it is."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", LtcoreWarning)
        torch.manual_seed(0)
        rule(subject)


def _error(label: str, broken: Mapping[Rule, Exception], kept: Sequence[str]) -> ConformanceError:
    lines = [f"{label} breaks {len(broken)} of the {len(broken) + len(kept)} rules looked at:"]
    found = {}
    for rule, error in broken.items():
        known = isinstance(error, BrokenRuleError)
        text = str(error) if known else f"it raised {type(error).__name__}: {error}"
        expected = " ".join((inspect.getdoc(rule) or "").split("\n\n")[0].split())
        lines += [f"  {rule.__name__}: {text}", f"    expected: {expected}"]
        found[rule.__name__] = text
    result = ConformanceError("\n".join(lines), found, kept)
    result.__cause__ = next(
        (e for e in broken.values() if not isinstance(e, BrokenRuleError)), None
    )
    return result
