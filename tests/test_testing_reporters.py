"""check_reporter: each rule catches the reporter that breaks it, a sound one passes them all."""

from __future__ import annotations

import re
import sys
from typing import ClassVar

import numpy as np
import pytest

import ltcore
from ltcore.testing import ConformanceError, check_reporter
from ltcore.testing.declarations import DECLARATION


class Sound(ltcore.Reporter):
    """A line a run."""

    name: ClassVar[str] = "lines"
    suffix: ClassVar[str] = ".txt"

    def render(self, comparison):
        return "# runs\n" + "".join(self.line(run) for run in comparison.runs)

    def line(self, run):
        return f"{run.backbone!a} {run.loss!a} {list(run.metrics)!a}\n"


def made(**declared):
    """A component like the sound one, but for methods or class variables."""
    return type(Sound)("Made", (Sound,), {"__doc__": "It.", "__module__": __name__, **declared})


def _render_and_print(self, comparison):
    sys.stdout.write("rendering")
    return Sound.render(self, comparison)


def _render_with_a_number(self, comparison):
    number = np.random.default_rng().random()
    return f"{number}\n{Sound.render(self, comparison)}"


def _render_first(self, comparison):
    return f"the first is {comparison.runs[0]!a} {Sound.render(self, comparison)}"


def _line_with_tail(self, run):
    return f"{run.backbone!a} {run.loss!a} {run.metrics['tail'].top1:.2f}\n"


def _raw_line(self, run):
    return f"{run.backbone} {run.loss}\n"


def _line_without_line_breaks(self, run):
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u202e]", "", f"{run.backbone} {run.loss}") + "\n"


def _line_with_line_breaks(self, run):
    return re.sub(r"[^\n -~]", "", f"{run.backbone} {run.loss}") + "\n"


BROKEN = [
    ("declares_a_suffix", made(suffix="./txt")),
    ("renders_text", made(render=lambda self, comparison: b"")),
    ("shows_every_run", made(line=lambda self, run: f"{run.backbone!a}\n")),
    ("renders_the_same_again", made(render=_render_with_a_number)),
    ("prints_nothing", made(render=_render_and_print)),
    ("bears_an_empty_comparison", made(render=_render_first)),
    ("bears_gaps", made(line=_line_with_tail)),
    ("lets_no_name_inject", made(line=_raw_line)),
    ("lets_no_name_inject", made(line=_line_with_line_breaks)),
    *[
        ("lets_no_name_inject", made(line=_line_without_line_breaks, suffix=suffix))
        for suffix in (".html", ".tex", ".csv")
    ],
]

# Rules that cannot be broken alone.
ALSO_BROKEN = {"bears_gaps": {"lets_no_name_inject"}}


@pytest.mark.parametrize(("rule", "component"), BROKEN)
def test_broken_reporter_is_caught_by_the_rule_that_it_breaks(rule, component):
    with pytest.raises(ConformanceError) as caught:
        check_reporter(component)
    assert caught.value.broken.keys() == {rule} | ALSO_BROKEN.get(rule, set())


def test_sound_reporter_passes_every_rule_that_catches_a_broken_one():
    rules = {rule for rule, _ in BROKEN} | {rule.__name__ for rule in DECLARATION}
    assert set(check_reporter(Sound)) == rules - {"declaring_imports_no_torch"}
