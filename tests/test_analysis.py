"""What can be asked for, and what contradicts itself."""

from __future__ import annotations

import math

import pytest

from ltcore.errors import SpecError
from ltcore.measures import METRICS, MetricInfo
from ltcore.reporting.analysis import Analysis
from tests.report_runs import Offered


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            {"metrics": ("top1", "top2")},
            f"metrics: no metric is called 'top2'. There are: {', '.join(METRICS)}",
        ),
        (
            {"thresholds": (20, 100)},
            "thresholds: 20 and 100; the first, above which a class is 'many', must be the larger",
        ),
        (
            {"thresholds": (20, -1)},
            "thresholds: 20 and -1; the first, above which a class is 'many', must be the larger",
        ),
        (
            {"sweep_tau": True, "logit_adjust": 0.0},
            "logit_adjust and sweep_tau: each settles tau; give one of them",
        ),
        (
            {"priors": ("tail", "mine/tail.json")},
            "priors: 'tail' and 'mine/tail.json' would both be called expected_tail; rename a file",
        ),
        ({"logit_adjust": math.nan}, "logit_adjust: nan; it must be a finite number"),
        ({"logit_adjust": math.inf}, "logit_adjust: inf; it must be a finite number"),
    ],
)
def test_what_contradicts_itself_is_refused(asked, told):
    with pytest.raises(SpecError) as caught:
        Analysis(**asked)
    assert str(caught.value) == told


def test_a_metric_that_a_plugin_offers_is_known():
    analysis = Analysis(metrics=("top1", "offered"), offered=(Offered(),))
    assert list(analysis.known_metrics) == [*METRICS, "offered"]
    info = analysis.known_metrics["offered"]
    assert info == MetricInfo("offered", "offered", lower_is_better=False, percent=True)


def test_asked_views_are_the_groups_and_the_priors():
    assert Analysis().asked_views == ()
    asked = Analysis(thresholds=(100, 20), priors=("train", "folder/mine.json"))
    assert asked.asked_views == ("many", "medium", "few", "expected_train", "expected_mine")


@pytest.mark.parametrize(
    ("asked", "adjusts", "whole"),
    [
        ({}, False, False),
        ({"logit_adjust": 0.0}, True, False),
        ({"sweep_tau": True}, True, True),
        ({"temperature": True}, True, True),
        ({"ensemble": True}, False, True),
        ({"details": True}, False, True),
    ],
)
def test_more_than_the_test_split_is_read_only_where_it_is_needed(asked, adjusts, whole):
    analysis = Analysis(**asked)
    assert (analysis.adjusts, analysis.reads_whole_files) == (adjusts, whole)
