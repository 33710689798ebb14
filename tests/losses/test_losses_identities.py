"""Where one loss is another: what the constants and neutral parameters promise."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import ltcore_losses

LONG_TAILED = [900, 200, 60, 15, 4, 4]
EQUAL = [450] * 6
N = 20


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    logits = 4 * torch.randn(N, len(EQUAL), generator=generator)
    labels = torch.randint(len(EQUAL), (N,), generator=generator)
    return logits.requires_grad_(), labels


def assert_equal_in_value_and_gradient(found, expected, logits):
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)
    [gradient] = torch.autograd.grad(found, logits)
    [expected_gradient] = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("weighted_cross_entropy", {}),
        ("weighted_cross_entropy", {"reduction": "mean"}),
        ("class_balanced", {}),
        ("class_balanced", {"beta": 0.9, "reduction": "mean"}),
        ("balanced_softmax", {}),
        ("equalization", {}),
    ],
)
def test_equal_counts_give_cross_entropy(build, batch, name, parameters):
    logits, labels = batch
    found = build(name, EQUAL, **parameters)(logits, labels)
    assert_equal_in_value_and_gradient(found, F.cross_entropy(logits, labels), logits)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("cross_entropy", {}),
        ("focal", {"gamma": 0.0}),
        ("class_balanced", {"beta": 0.0}),
        ("class_balanced", {"beta": 0.0, "reduction": "mean"}),
        ("equalization", {"lambda": 0.1, "gamma": 0.0}),
        ("equalization", {"lambda": 0.001}),
        ("ldam", {"max_margin": 0.0}),
    ],
)
def test_neutral_parameters_give_cross_entropy(build, batch, name, parameters):
    logits, labels = batch
    found = build(name, LONG_TAILED, **parameters)(logits, labels)
    assert_equal_in_value_and_gradient(found, F.cross_entropy(logits, labels), logits)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("weighted_cross_entropy", {}),
        ("focal", {}),
        ("class_balanced", {}),
        ("balanced_softmax", {}),
        ("equalization", {"lambda": 0.1}),
        ("ldam", {}),
    ],
)
def test_other_losses_are_not_cross_entropy_on_a_long_tail(build, batch, name, parameters):
    logits, labels = batch
    found = build(name, LONG_TAILED, **parameters)(logits, labels)
    assert (found - F.cross_entropy(logits, labels)).abs() > 0.01


def test_weights_of_equal_counts_are_exactly_one(build):
    for counts in ([450] * 100, [3] * 7, [12_345] * 1_000):
        assert build("weighted_cross_entropy", counts).class_weights.eq(1).all()
        assert build("class_balanced", counts).class_weights.eq(1).all()


def test_balanced_softmax_is_logit_adjustment_at_tau_1(build, batch):
    logits, labels = batch
    prior = torch.tensor(LONG_TAILED, dtype=torch.float64)
    adjusted = logits + (prior / prior.sum()).log().float()
    found = build("balanced_softmax", LONG_TAILED)(logits, labels)
    assert_equal_in_value_and_gradient(found, F.cross_entropy(adjusted, labels), logits)


def test_class_balanced_approaches_inverse_frequency_as_beta_approaches_1(build, batch):
    logits, labels = batch
    found = build("class_balanced", LONG_TAILED, beta=1 - 1e-9)(logits, labels)
    expected = build("weighted_cross_entropy", LONG_TAILED)(logits, labels)
    assert_equal_in_value_and_gradient(found, expected, logits)


def test_weighted_mean_is_pytorchs(build, batch):
    logits, labels = batch
    for name in ("weighted_cross_entropy", "class_balanced"):
        criterion = build(name, LONG_TAILED)
        expected = F.cross_entropy(logits, labels, weight=criterion.class_weights)
        assert_equal_in_value_and_gradient(criterion(logits, labels), expected, logits)


def test_mean_divides_pytorchs_weighted_sum_by_n(build, batch):
    logits, labels = batch
    for name in ("weighted_cross_entropy", "class_balanced"):
        criterion = build(name, LONG_TAILED, reduction="mean")
        weights = criterion.class_weights
        expected = F.cross_entropy(logits, labels, weight=weights, reduction="sum") / N
        assert_equal_in_value_and_gradient(criterion(logits, labels), expected, logits)


def test_weights_average_to_one_over_the_training_images(build):
    weights = build("weighted_cross_entropy", LONG_TAILED).class_weights
    counts = torch.tensor(LONG_TAILED)
    torch.testing.assert_close((weights * counts).sum() / counts.sum(), torch.tensor(1.0))


def test_class_balanced_weights_sum_to_the_number_of_classes(build):
    weights = build("class_balanced", LONG_TAILED).class_weights
    torch.testing.assert_close(weights.sum(), torch.tensor(float(len(LONG_TAILED))))


def test_ldam_margin_is_max_margin_for_the_rarest_class_in_scaled_logits(build):
    margins = build("ldam", [4, 64, 1024], max_margin=0.5, scale=30.0).margins
    torch.testing.assert_close(margins, torch.tensor([15.0, 7.5, 3.75]))


def test_ldam_leaves_the_other_classes_logits_alone(build):
    criterion = build("ldam", [4, 64, 1024], scale=30.0)
    logits = torch.tensor([[20.0, 3.0, -5.0]])
    moved = torch.tensor([[5.0, 3.0, -5.0]])
    labels = torch.tensor([0])
    torch.testing.assert_close(criterion(logits, labels), F.cross_entropy(moved, labels))


def test_mode_matters_to_equalization_alone(build, batch):
    logits, labels = batch
    for loss in ltcore_losses.ltcore_register_losses():
        criterion = build(loss.name, LONG_TAILED)
        trained = criterion.train()(logits, labels)
        assert torch.equal(trained, criterion.eval()(logits, labels)) == (
            loss.name != "equalization"
        )
