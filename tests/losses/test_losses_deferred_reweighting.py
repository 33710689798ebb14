"""The losses under deferred re-weighting (DRW): when, with which weights, and which refuse it."""

from __future__ import annotations

import pytest
import torch

import ltcore
from ltcore.running.losses import DeferredReweighting

COUNTS = [400, 60, 8, 2]
BETA = 0.999
UNWEIGHTED = ["cross_entropy", "focal", "balanced_softmax", "equalization", "ldam"]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(2)
    logits = 3 * torch.randn(10, len(COUNTS), generator=generator, dtype=torch.float64)
    return logits, torch.arange(10) % len(COUNTS)


@pytest.fixture
def defer(build, make_classes):
    def make(name, **parameters):
        weights = make_classes(COUNTS).class_balanced_weights(BETA)
        return DeferredReweighting(build(name, COUNTS, **parameters), weights, start_epoch=3)

    return make


def effective_number_weights():
    weights = [(1 - BETA) / (1 - BETA**n) for n in COUNTS]
    return [w / sum(weights) * len(weights) for w in weights]


@pytest.mark.parametrize("epoch", [0, 2])
@pytest.mark.parametrize("name", UNWEIGHTED)
def test_loss_before_the_start_is_the_plain_one(build, defer, batch, name, epoch):
    criterion = defer(name).eval()
    criterion.start_epoch(epoch)
    assert torch.equal(criterion(*batch), build(name, COUNTS).eval()(*batch))


@pytest.mark.parametrize("epoch", [3, 9])
@pytest.mark.parametrize("name", UNWEIGHTED)
def test_loss_from_the_start_on_is_weighted(build, defer, batch, name, epoch):
    criterion = defer(name).eval()
    criterion.start_epoch(epoch)
    values = build(name, COUNTS).eval().per_sample(*batch)
    weights = [effective_number_weights()[y] for y in batch[1]]
    expected = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    torch.testing.assert_close(criterion(*batch), expected, rtol=1e-6, atol=0)


def test_weights_stand_outside_focals_probability(defer, batch):
    criterion = defer("focal", gamma=1.5)
    criterion.start_epoch(3)
    total, of_weights = 0.0, 0.0
    for row, y in zip(*batch, strict=True):
        p, w = row.softmax(0)[y], effective_number_weights()[y]
        total = total - w * (1 - p) ** 1.5 * p.log()
        of_weights += w
    torch.testing.assert_close(criterion(*batch), total / of_weights, rtol=1e-6, atol=0)


def test_start_depends_on_the_epoch_alone(defer, batch):
    criterion, resumed = defer("ldam"), defer("ldam")
    for epoch in range(6):
        criterion.start_epoch(epoch)
    resumed.start_epoch(5)
    assert torch.equal(criterion(*batch), resumed(*batch))


@pytest.mark.parametrize("name", ["weighted_cross_entropy", "class_balanced"])
def test_loss_with_weights_of_its_own_is_refused(defer, name):
    with pytest.raises(
        ltcore.SpecError, match=r"loss\.drw: this loss weights its classes .* Remove"
    ):
        defer(name)


@pytest.mark.parametrize("name", UNWEIGHTED)
def test_every_loss_can_declare_it(declare, name):
    loss = declare(name, drw={"start_epoch": 60})
    assert loss.model_dump()["drw"] == {"start_epoch": 60, "beta": 0.9999}
