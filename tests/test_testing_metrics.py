"""check_metric: each rule catches the metric that breaks it, a sound one passes them all."""

from __future__ import annotations

import itertools
import sys
from typing import ClassVar

import numpy as np
import pytest

import ltcore
from ltcore.testing import ConformanceError, check_metric
from ltcore.testing.declarations import DECLARATION


class Sound(ltcore.Metric):
    """Share of images whose label has the largest logit."""

    name: ClassVar[str] = "share_right"
    title: ClassVar[str] = "share right"

    def compute(self, logits, labels, class_counts):
        return float(np.mean(logits.argmax(axis=1) == labels))


def made(**declared):
    """A metric like the sound one, but for methods or class variables."""
    return type(Sound)("Made", (Sound,), {"__doc__": "It.", "__module__": __name__, **declared})


def computing(function):
    return made(compute=lambda self, logits, labels, counts: function(logits, labels, counts))


_COUNTER = itertools.count()


def _write(logits, labels, counts):
    logits -= 1
    return 0.5


def _print(logits, labels, counts):
    sys.stdout.write("computing")
    return 0.5


BROKEN = [
    ("is_accepted_as_a_plugin", made(title="")),
    ("is_accepted_as_a_plugin", made(name="top1")),
    ("is_accepted_as_a_plugin", made(percent="yes")),
    ("gives_a_number", computing(lambda *_: float("nan"))),
    ("gives_a_number", computing(lambda *_: "0.5")),
    ("bears_any_view", computing(lambda z, y, n: (len(y) > 1 and 0.5) or 1 / 0)),
    ("is_the_same_in_any_order", computing(lambda z, y, n: abs(float(z[0, 0])) % 1)),
    ("is_the_same_again", computing(lambda *_: 1 / (2 + next(_COUNTER)))),
    ("leaves_its_arguments_alone", computing(_write)),
    ("is_a_share_where_it_says_percent", computing(lambda *_: 50.0)),
    ("prints_nothing", computing(_print)),
]
ALSO_BROKEN = {"is_the_same_again": {"is_the_same_in_any_order"}}


@pytest.mark.parametrize(("rule", "component"), BROKEN)
def test_broken_metric_is_caught_by_the_rule_that_it_breaks(rule, component):
    with pytest.raises(ConformanceError) as caught:
        check_metric(component)
    assert caught.value.broken.keys() == {rule} | ALSO_BROKEN.get(rule, set())


def test_sound_metric_passes_every_rule_that_catches_a_broken_one():
    rules = {rule for rule, _ in BROKEN} | {rule.__name__ for rule in DECLARATION}
    assert set(check_metric(Sound)) == rules - {"declaring_imports_no_torch"}


def test_metric_may_be_undefined():
    check_metric(computing(lambda *_: None))


def test_something_else_is_refused():
    with pytest.raises(ConformanceError, match=r"neither a subclass of ltcore\.Metric"):
        check_metric(ltcore.Loss)
