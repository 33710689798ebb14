"""The scalar of a loss against its per-sample values, whichever way it is computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ltcore
import ltcore_losses

COUNTS = [400, 60, 8, 2]
NAMES = [loss.name for loss in ltcore_losses.ltcore_register_losses()]
each_loss = pytest.mark.parametrize("name", NAMES)


class Squares(ltcore.PerSampleLoss):
    def per_sample(self, logits, labels):
        return logits.gather(1, labels[:, None])[:, 0] ** 2


class Product(ltcore.PerSampleLoss):
    def per_sample(self, logits, labels):
        return (logits @ torch.eye(len(COUNTS)))[:, 0]


class Shifted(ltcore.AdjustedCrossEntropy):
    def adjusted(self, logits, labels):
        return logits + torch.tensor([0.0, 1.0, 2.0, 4.0])


@pytest.fixture
def batch():
    logits = 3 * torch.randn(10, len(COUNTS), dtype=torch.float64)
    return logits.requires_grad_(), torch.arange(10) % len(COUNTS)


def assert_reduces_its_values(criterion, logits, labels):
    """In value and gradient, by the formulas of PerSampleLoss."""
    found = criterion(logits, labels)
    values = criterion.per_sample(logits, labels)
    weights = torch.ones(len(labels), dtype=values.dtype)
    if criterion.class_weights is not None:
        weights = criterion.class_weights.to(values.dtype)[labels]
    total = weights.sum() if criterion.reduction == "weighted_mean" else len(labels)
    expected = (weights * values).sum() / total
    torch.testing.assert_close(found, expected)
    [gradient] = torch.autograd.grad(found, logits)
    [expected_gradient] = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(gradient, expected_gradient)


@each_loss
def test_loss_is_the_reduction_of_its_values(build, batch, name):
    assert_reduces_its_values(build(name, COUNTS).eval(), *batch)


@pytest.mark.parametrize("reduction", ["weighted_mean", "mean"])
@pytest.mark.parametrize("weights", [None, np.array([0.1, 0.5, 1.0, 4.0])])
@pytest.mark.parametrize("criterion", [Squares, Shifted])
def test_each_reduction_is_its_formula_with_and_without_weights(
    batch, criterion, weights, reduction
):
    assert_reduces_its_values(criterion(class_weights=weights, reduction=reduction), *batch)


def test_adjusted_cross_entropy_leaves_the_logits_as_they_are_unless_overridden(batch):
    found = ltcore.AdjustedCrossEntropy().per_sample(*batch)
    expected = torch.nn.functional.cross_entropy(*batch, reduction="none")
    assert torch.equal(found, expected)


@pytest.mark.parametrize("weights", [None, np.ones(4)])
def test_values_of_another_shape_are_not_broadcast(batch, weights):
    values = torch.ones(10, 1, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="1D tensors expected"):
        Squares(class_weights=weights).reduce(values, batch[1])


def test_matrix_product_in_a_loss_is_float32_under_autocast():
    logits = torch.full((3, len(COUNTS)), 1 + 2**-20)  # in bfloat16 this is 1
    with torch.autocast("cpu", torch.bfloat16):
        loss = Product()(logits, torch.arange(3))
    assert loss == logits[0, 0]


@pytest.mark.parametrize("name", ["weighted_cross_entropy", "focal", "ldam"])
def test_loss_compiles_into_one_graph(build, batch, name):
    criterion = build(name, COUNTS).eval()
    compiled = torch.compile(criterion, backend="aot_eager", fullgraph=True)
    [found] = torch.autograd.grad(compiled(*batch), batch[0])
    [expected] = torch.autograd.grad(criterion(*batch), batch[0])
    torch.testing.assert_close(found, expected)


def test_focal_is_differentiable_twice(build, batch):
    """Its first derivative is written out, which autograd cannot look into."""
    logits, labels = batch
    for gamma in (0.5, 2.0):
        criterion = build("focal", COUNTS, gamma=gamma)
        assert torch.autograd.gradgradcheck(lambda z, c=criterion: c(z, labels), logits)
        assert torch.autograd.gradgradcheck(lambda z, c=criterion: c.per_sample(z, labels), logits)


def test_gradients_of_focal_are_the_same_where_they_are_differentiated_again(build, batch):
    loss = build("focal", COUNTS)(*batch)
    [expected] = torch.autograd.grad(loss, batch[0], retain_graph=True)
    [found] = torch.autograd.grad(loss, batch[0], create_graph=True)
    assert found.requires_grad
    assert not expected.requires_grad
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)


def test_hooks_on_the_logits_see_focals_gradient_once(build, batch):
    seen = []
    logits = 1 * batch[0]
    logits.register_hook(seen.append)
    loss = build("focal", COUNTS)(logits, batch[1])
    torch.autograd.grad(loss, batch[0], create_graph=True)
    assert len(seen) == 1


def test_focal_with_class_weights_is_their_weighted_mean(build, batch):
    """A loss that derives from it may have some."""
    criterion = build("focal", COUNTS)
    weights = torch.tensor([0.5, 1.0, 2.0, 4.0])
    criterion.class_weights = weights
    weights = weights.double()[batch[1]]
    expected = (weights * criterion.per_sample(*batch)).sum() / weights.sum()
    torch.testing.assert_close(criterion(*batch), expected)
