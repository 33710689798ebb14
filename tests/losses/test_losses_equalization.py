"""What equalization leaves out, how often, and what it warns of."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

import ltcore

COUNTS = [900, 90, 9, 1]  # priors 0.9, 0.09, 0.009, 0.001


def seeded(criterion, seed):
    criterion.generator = torch.Generator().manual_seed(seed)
    return criterion


def left_out(criterion, n, label=0):
    """(n, K) bool: which classes' logits the losses of n equal samples do not depend on."""
    logits = torch.zeros(n, len(COUNTS), requires_grad=True)
    labels = torch.full((n,), label)
    [gradient] = torch.autograd.grad(criterion.per_sample(logits, labels).sum(), logits)
    return gradient == 0


def test_rare_classes_are_left_out_with_probability_gamma(build):
    n, gamma = 20_000, 0.7
    found = left_out(seeded(build("equalization", COUNTS, **{"lambda": 0.05}, gamma=gamma), 0), n)
    share = found.double().mean(0)
    deviation = math.sqrt(gamma * (1 - gamma) / n)
    assert share[:2].tolist() == [0, 0]
    assert share[2:].tolist() == pytest.approx([gamma, gamma], abs=4 * deviation)


def test_rare_classes_are_left_out_independently_of_each_other(build):
    n, gamma = 20_000, 0.7
    found = left_out(seeded(build("equalization", COUNTS, **{"lambda": 0.05}, gamma=gamma), 0), n)
    both = (found[:, 2] & found[:, 3]).double().mean().item()
    deviation = math.sqrt(gamma**2 * (1 - gamma**2) / n)
    assert both == pytest.approx(gamma**2, abs=4 * deviation)


def test_draws_of_neighbouring_samples_are_independent(build):
    n, gamma = 20_000, 0.7
    found = left_out(seeded(build("equalization", COUNTS, **{"lambda": 0.05}, gamma=gamma), 0), n)
    both = (found[:-1, 3] & found[1:, 3]).double().mean().item()
    # Overlapping pairs: their variance is at most three times that of disjoint ones.
    deviation = math.sqrt(3 * gamma**2 * (1 - gamma**2) / n)
    assert both == pytest.approx(gamma**2, abs=4 * deviation)


@pytest.mark.parametrize("label", range(4))
def test_true_class_is_never_left_out(build, label):
    criterion = build("equalization", COUNTS, **{"lambda": 1.0}, gamma=1.0)
    logits = torch.randn(5, 4)
    assert criterion.per_sample(logits, torch.full((5,), label)).tolist() == [0.0] * 5


def test_rare_class_is_still_learned_from_its_own_samples(build):
    found = left_out(build("equalization", COUNTS, **{"lambda": 0.05}, gamma=1.0), 3, label=3)
    assert found.tolist() == [[False, False, True, False]] * 3


def test_eval_is_cross_entropy(build):
    criterion = build("equalization", COUNTS, **{"lambda": 0.05}, gamma=1.0).eval()
    logits, labels = torch.randn(9, 4), torch.arange(9) % 4
    expected = F.cross_entropy(logits, labels, reduction="none")
    assert torch.equal(criterion.per_sample(logits, labels), expected)


def test_eval_draws_nothing(build):
    criterion = seeded(build("equalization", COUNTS).eval(), 5)
    before = criterion.generator.get_state()
    criterion(torch.randn(9, 4), torch.arange(9) % 4)
    assert torch.equal(criterion.generator.get_state(), before)


def test_one_seed_of_the_generator_gives_one_loss(build):
    criterion = build("equalization", COUNTS, gamma=0.5)
    logits, labels = torch.randn(64, 4), torch.zeros(64, dtype=torch.int64)
    losses = [seeded(criterion, seed)(logits, labels).item() for seed in (7, 7, 8)]
    assert losses[0] == losses[1] != losses[2]


def test_draws_come_from_the_losss_own_generator_alone(build):
    criterion = seeded(build("equalization", COUNTS), 5)
    before = torch.get_rng_state()
    criterion(torch.randn(9, 4, generator=criterion.generator), torch.arange(9) % 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_each_step_draws_anew(build):
    criterion = seeded(build("equalization", COUNTS, gamma=0.5), 7)
    logits, labels = torch.randn(64, 4), torch.zeros(64, dtype=torch.int64)
    assert criterion(logits, labels) != criterion(logits, labels)


@pytest.mark.parametrize(
    ("threshold", "rare"), [(0.0010001, 1), (0.001, 0), (0.009, 1), (0.09, 2), (0.91, 4)]
)
def test_class_at_lambda_is_not_rare(build, threshold, rare):
    assert build("equalization", COUNTS, **{"lambda": threshold}).rare_classes == rare


def test_no_class_of_a_hundred_equal_ones_is_below_a_hundredth(build):
    assert build("equalization", [450] * 100, **{"lambda": 0.01}).rare_classes == 0


def test_class_without_images_is_rare(build):
    assert build("equalization", [900, 100, 0]).rare_classes == 1


def test_number_of_rare_classes_stands_in_the_modules_text(build):
    criterion = build("equalization", COUNTS, **{"lambda": 0.05})
    assert repr(criterion) == "EqualizationLoss(threshold=0.05, gamma=0.9, rare_classes=2)"


def test_no_rare_class_is_a_warning(declare, make_classes):
    with pytest.warns(
        ltcore.LtcoreWarning,
        match=r"loss\.lambda: no class .* below 0\.005, .* share is 0\.25: only",
    ):
        declare("equalization").build(make_classes([450] * 4))


def test_rare_classes_alone_are_a_warning(declare, make_classes):
    with pytest.warns(
        ltcore.LtcoreWarning,
        match=r"loss\.lambda: all 4 classes .* below 0\.95, .* from 0\.001 to 0\.9: choose",
    ):
        declare("equalization", **{"lambda": 0.95}).build(make_classes(COUNTS))


def test_some_rare_classes_are_no_warning(declare, make_classes, recwarn):
    declare("equalization").build(make_classes(COUNTS))
    assert not recwarn
