"""What of a large comparison is drawn: figures of hundreds of losses could not be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from ltcore.comparison import Comparison, Setting
from ltcore.reporting.reporters.html.drawing import MOST_SERIES, Sign

MOST_SETTINGS = 6


@dataclass(frozen=True)
class Selection:
    """What is drawn, with the same sign for one loss or backbone in all figures.

    Attributes:
        settings: the first ones.
        backbones, losses: name -> sign.
        note: what is left out, in a sentence; empty where nothing is.
    """

    settings: tuple[Setting, ...]
    backbones: Mapping[str, Sign]
    losses: Mapping[str, Sign]
    note: str


def select(comparison: Comparison) -> Selection:
    """Choose the settings, backbones and losses that are drawn."""
    settings = comparison.settings[:MOST_SETTINGS]
    backbones = _best(settings, "by_backbone")
    losses = _best(settings, "by_loss")
    everything = (
        (len(settings), len(comparison.settings), "settings", "the first"),
        (len(backbones), _count(settings, "by_backbone"), "backbones", "the most accurate"),
        (len(losses), _count(settings, "by_loss"), "losses", "the most accurate"),
    )
    left_out = [
        f"{drawn} of {all_} {things} are drawn, {which}"
        for drawn, all_, things, which in everything
        if drawn < all_
    ]
    note = f"{'; '.join(left_out)}. The tables hold all." if left_out else ""
    return Selection(settings, _signs(backbones), _signs(losses), note)


def whole_of(setting: Setting) -> str:
    """The view that is the whole test split."""
    views = {view for cell in setting.cells.values() for run in cell.runs for view in run.metrics}
    return "balanced" if "balanced" in views else "all"


def _count(settings: Iterable[Setting], kind: str) -> int:
    return len({name for setting in settings for name in getattr(setting, kind)})


def _best(settings: Iterable[Setting], kind: str) -> list[str]:
    """At most as many names as there are signs, the most accurate, in the order of reports."""
    found: dict[str, list[float]] = {}
    for setting in settings:
        view = whole_of(setting)
        for name, means in getattr(setting, kind).items():
            mean = means[view]["top1"].mean if view in means else None
            found.setdefault(name, []).append(-1.0 if mean is None else mean)
    best = sorted(found, key=lambda name: (-fmean(found[name]), name))[:MOST_SERIES]
    return sorted(best)


def _signs(names: Iterable[str]) -> dict[str, Sign]:
    return {name: Sign.numbered(number) for number, name in enumerate(names)}
