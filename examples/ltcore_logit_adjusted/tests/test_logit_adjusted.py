"""The loss keeps ltcore's rules, is the published formula, and is refused where it cannot be."""

from __future__ import annotations

import math

import ltcore
import pydantic
import pytest
import torch
import torch.nn.functional as F

from ltcore_logit_adjusted import LogitAdjusted

COUNTS = [90, 30, 6, 2]


def criterion(**parameters):
    return ltcore.build_loss({"name": "logit_adjusted", **parameters}, COUNTS)


def examples():
    torch.manual_seed(0)
    return torch.randn(8, 4, dtype=torch.float64), torch.arange(8) % 4


@pytest.mark.parametrize("tau", [0.0, 1.0, 2.5])
def test_loss_keeps_the_rules_of_ltcore(tau):
    assert "declaring_imports_no_torch" in ltcore.testing.check_loss(LogitAdjusted(tau=tau))


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_value_is_that_of_the_formula(tau):
    logits, labels = examples()
    prior = [count / sum(COUNTS) for count in COUNTS]
    total = 0.0
    for z, y in zip(logits.tolist(), labels.tolist(), strict=True):
        weights = [p**tau * math.exp(value) for p, value in zip(prior, z, strict=True)]
        total -= math.log(weights[y] / sum(weights))
    assert criterion(tau=tau)(logits, labels).item() == pytest.approx(total / 8, rel=1e-6)


def test_tau_of_zero_is_cross_entropy():
    logits, labels = examples()
    expected = F.cross_entropy(logits, labels).item()
    assert criterion(tau=0)(logits, labels).item() == pytest.approx(expected, rel=1e-12)


def test_default_tau_is_the_published_one():
    assert LogitAdjusted().tau == 1.0


def test_class_counts_are_used_up_to_their_scale():
    logits, labels = examples()
    larger = ltcore.build_loss("logit_adjusted", [10 * count for count in COUNTS])
    assert larger(logits, labels).item() == pytest.approx(criterion()(logits, labels).item())


def test_deferred_reweighting_can_be_added():
    deferred = criterion(drw={"start_epoch": 0})
    deferred.start_epoch(0)
    logits, labels = examples()
    assert deferred(logits, labels) != criterion()(logits, labels)


def test_class_without_images_is_refused_by_name():
    with pytest.raises(ltcore.SpecError, match=r"logit adjustment .* 1 of 3 classes .*: 1\."):
        ltcore.build_loss("logit_adjusted", [5, 0, 2])


@pytest.mark.parametrize("tau", [-0.1, math.inf, math.nan, "1"])
def test_tau_out_of_range_is_refused(tau):
    with pytest.raises(pydantic.ValidationError, match="tau"):
        LogitAdjusted(tau=tau)
