"""Finite values and gradients for extreme logits, float32 arithmetic, and buffers that follow."""

from __future__ import annotations

import math

import pytest
import torch

import ltcore_losses

COUNTS = [900, 100, 20, 4]
NAMES = [loss.name for loss in ltcore_losses.ltcore_register_losses()]
PARAMETERS = [
    *[(name, {}) for name in NAMES],
    ("focal", {"gamma": 0.0}),
    ("focal", {"gamma": 0.3}),
    ("equalization", {"lambda": 1.0, "gamma": 1.0}),
]

each_loss = pytest.mark.parametrize("name", NAMES)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])


def extreme_logits(dtype):
    """Every row of -1e4, 0 and 1e4, against every class."""
    rows = torch.cartesian_prod(*[torch.tensor([-1e4, 0.0, 1e4])] * len(COUNTS))
    labels = torch.arange(len(COUNTS)).repeat_interleave(len(rows))
    return rows.repeat(len(COUNTS), 1).to(dtype).requires_grad_(), labels


@each_dtype
@pytest.mark.parametrize(("name", "parameters"), PARAMETERS)
def test_value_and_gradient_are_finite_at_extreme_logits(build, name, parameters, dtype):
    logits, labels = extreme_logits(dtype)
    criterion = build(name, COUNTS, **parameters)
    assert criterion.per_sample(logits.float(), labels).isfinite().all()
    loss = criterion(logits, labels)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_focal_is_precise_where_the_true_class_is_nearly_certain(build, gamma):
    """1 - p_y is 4e-18 there: 0 in float32, and in float64 when it is formed by subtraction."""
    logits = torch.tensor([[40.0, 0.0, -1.0, -2.0]], requires_grad=True)
    rest = math.exp(-40) + math.exp(-41) + math.exp(-42)  # (1 - p_y) / p_y
    loss = build("focal", COUNTS, gamma=gamma)(logits, torch.tensor([0]))
    loss.backward()
    assert loss.item() == pytest.approx(rest ** (1 + gamma), rel=1e-4)
    assert logits.grad[0, 0].item() == pytest.approx(-(1 + gamma) * rest ** (1 + gamma), rel=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("margin", [-30.0, -8.0, -1.0, 3.0, 9.0, 14.0, 17.0, 20.0, 35.0, 60.0])
def test_focal_and_its_gradient_are_precise_at_every_margin(build, gamma, margin):
    logits = torch.tensor([[margin, 0.0, -1.0, -2.0]], requires_grad=True)
    criterion = build("focal", COUNTS, gamma=gamma)
    loss = criterion(logits, torch.tensor([0]))
    loss.backward()
    odds = [math.exp(z - margin) for z in (0, -1, -2)]  # p_j / p_y
    rest, p, nll = sum(odds) / (1 + sum(odds)), 1 / (1 + sum(odds)), math.log1p(sum(odds))
    slope = rest ** (gamma - 1) * (rest + gamma * p * nll)
    assert loss.item() == pytest.approx(rest**gamma * nll, rel=1e-5)
    expected = [-slope * rest, *(slope * p * odd for odd in odds)]
    assert logits.grad[0].tolist() == pytest.approx(expected, rel=1e-5)
    loss = criterion(logits, torch.tensor([0]))
    [again] = torch.autograd.grad(loss, logits, create_graph=True)
    assert again[0].tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.3, 2.0])
def test_focal_is_cross_entropy_where_the_true_class_is_nearly_impossible(build, gamma):
    logits = torch.tensor([[-90.0, 0.0, -200.0, -200.0]], requires_grad=True)
    loss = build("focal", COUNTS, gamma=gamma)(logits, torch.tensor([0]))
    loss.backward()
    assert loss.item() == pytest.approx(90.0)
    assert logits.grad[0].tolist() == pytest.approx([-1.0, 1.0, 0.0, 0.0])


@each_dtype
@each_loss
def test_loss_is_float32_of_any_narrower_logits(build, name, dtype):
    logits = torch.randn(8, len(COUNTS)).to(dtype)
    assert build(name, COUNTS)(logits, torch.arange(8) % 4).dtype == torch.float32


@each_loss
def test_loss_of_float64_logits_is_float64(build, name):
    logits = torch.randn(8, len(COUNTS), dtype=torch.float64)
    assert build(name, COUNTS)(logits, torch.arange(8) % 4).dtype == torch.float64


@each_loss
def test_loss_under_autocast_is_the_float32_loss_of_the_same_logits(build, name):
    criterion = build(name, COUNTS).eval()
    labels = torch.arange(8) % 4
    with torch.autocast("cpu", torch.bfloat16):
        logits = torch.randn(8, 16) @ torch.randn(16, len(COUNTS))
        loss = criterion(logits, labels)
    assert logits.dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    assert torch.equal(loss, criterion(logits.float(), labels))


@pytest.mark.parametrize(
    ("name", "buffer"),
    [
        ("weighted_cross_entropy", "class_weights"),
        ("class_balanced", "class_weights"),
        ("balanced_softmax", "shift"),
        ("equalization", "omission"),
        ("ldam", "margins"),
    ],
)
def test_constants_are_float32_buffers_that_follow_the_module(build, name, buffer):
    criterion = build(name, COUNTS)
    assert getattr(criterion, buffer).dtype == torch.float32
    assert getattr(criterion, buffer).shape == (len(COUNTS),)
    assert getattr(criterion.to("meta"), buffer).device.type == "meta"


@each_loss
def test_losses_have_no_parameters_to_train(build, name):
    assert not list(build(name, COUNTS).parameters())


@each_loss
def test_forward_leaves_logits_and_constants_alone(build, name):
    criterion = build(name, COUNTS)
    logits = torch.randn(8, len(COUNTS))
    before = logits.clone()
    buffers = {key: value.clone() for key, value in criterion.named_buffers()}
    criterion(logits, torch.arange(8) % 4)
    assert torch.equal(logits, before)
    assert all(torch.equal(value, buffers[key]) for key, value in criterion.named_buffers())
