"""Each loss against its paper's formula, written anew as loops over samples and classes.

The references work on float64 scalars, so that autograd gives their gradients too. They know
nothing of stable forms, and are right for the moderate logits they are given.
"""

from __future__ import annotations

import pytest
import torch

COUNTS = [400, 90, 30, 7, 2]
N = 12


def softmax(z, y, weights=None):
    """The weighted softmax's probability of class y, of one row of logits."""
    weights = [1.0] * len(z) if weights is None else weights
    total = sum(w * torch.exp(z_k) for w, z_k in zip(weights, z, strict=True))
    return weights[y] * torch.exp(z[y]) / total


def weighted_mean(values, labels, weights):
    total = sum(weights[y] * value for y, value in zip(labels, values, strict=True))
    return total / sum(weights[y] for y in labels)


def cross_entropy(z, labels):
    return sum(-torch.log(softmax(row, y)) for row, y in zip(z, labels, strict=True)) / len(z)


def inverse_frequency(z, labels):
    values = [-torch.log(softmax(row, y)) for row, y in zip(z, labels, strict=True)]
    return weighted_mean(values, labels, [sum(COUNTS) / n for n in COUNTS])


def inverse_frequency_over_n(z, labels):
    """Divided by N, the scale matters: the weights' mean over the training images is 1."""
    scale = sum(COUNTS) / len(COUNTS)
    values = [-torch.log(softmax(row, y)) for row, y in zip(z, labels, strict=True)]
    return sum(v * scale / COUNTS[y] for y, v in zip(labels, values, strict=True)) / len(z)


def effective_number_weights(beta):
    weights = [(1 - beta) / (1 - beta**n) for n in COUNTS]
    return [w / sum(weights) * len(weights) for w in weights]


def class_balanced(z, labels, beta):
    values = [-torch.log(softmax(row, y)) for row, y in zip(z, labels, strict=True)]
    return weighted_mean(values, labels, effective_number_weights(beta))


def class_balanced_over_n(z, labels, beta):
    weights = effective_number_weights(beta)
    values = [-torch.log(softmax(row, y)) for row, y in zip(z, labels, strict=True)]
    return sum(weights[y] * v for y, v in zip(labels, values, strict=True)) / len(z)


def focal(z, labels, gamma):
    total = 0.0
    for row, y in zip(z, labels, strict=True):
        p = softmax(row, y)
        total = total - (1 - p) ** gamma * torch.log(p)
    return total / len(z)


def balanced_softmax(z, labels):
    values = [-torch.log(softmax(row, y, COUNTS)) for row, y in zip(z, labels, strict=True)]
    return sum(values) / len(z)


def equalization(z, labels, threshold):
    """At gamma 1 nothing is left to chance."""
    total = 0.0
    for row, y in zip(z, labels, strict=True):
        weights = [
            0.0 if n / sum(COUNTS) < threshold and k != y else 1.0 for k, n in enumerate(COUNTS)
        ]
        total = total - torch.log(softmax(row, y, weights))
    return total / len(z)


def ldam(z, labels, max_margin, scale):
    """Cao et al.'s, of cosines: the margin, then the scale."""
    constant = max_margin / max(n**-0.25 for n in COUNTS)
    total = 0.0
    for row, y in zip(z, labels, strict=True):
        cosines = list(row / scale)
        cosines[y] = cosines[y] - constant * COUNTS[y] ** -0.25
        total = total - torch.log(softmax([scale * c for c in cosines], y))
    return total / len(z)


CASES = [
    ("cross_entropy", {}, cross_entropy),
    ("weighted_cross_entropy", {}, inverse_frequency),
    ("weighted_cross_entropy", {"reduction": "mean"}, inverse_frequency_over_n),
    ("focal", {}, lambda z, y: focal(z, y, 2.0)),
    ("focal", {"gamma": 0.5}, lambda z, y: focal(z, y, 0.5)),
    ("focal", {"gamma": 5.0}, lambda z, y: focal(z, y, 5.0)),
    ("class_balanced", {}, lambda z, y: class_balanced(z, y, 0.9999)),
    ("class_balanced", {"beta": 0.9}, lambda z, y: class_balanced(z, y, 0.9)),
    (
        "class_balanced",
        {"beta": 0.99, "reduction": "mean"},
        lambda z, y: class_balanced_over_n(z, y, 0.99),
    ),
    ("balanced_softmax", {}, balanced_softmax),
    ("equalization", {"lambda": 0.1, "gamma": 1.0}, lambda z, y: equalization(z, y, 0.1)),
    ("ldam", {}, lambda z, y: ldam(z, y, 0.5, 30.0)),
    ("ldam", {"max_margin": 0.3, "scale": 10.0}, lambda z, y: ldam(z, y, 0.3, 10.0)),
]

each_case = pytest.mark.parametrize(
    ("name", "parameters", "reference"),
    CASES,
    ids=["-".join([name, *map(str, parameters.values())]) for name, parameters, _ in CASES],
)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(N, len(COUNTS), generator=generator, dtype=torch.float64)
    labels = torch.arange(N) % len(COUNTS)
    return logits.requires_grad_(), labels


@each_case
def test_loss_is_the_formula(build, batch, name, parameters, reference):
    logits, labels = batch
    found = build(name, COUNTS, **parameters)(logits, labels)
    # The constants are float32: 6e-8 of them, times the scale of 30, is the distance.
    torch.testing.assert_close(found, reference(logits, labels.tolist()), rtol=1e-6, atol=0)


@each_case
def test_gradient_is_the_formulas(build, batch, name, parameters, reference):
    logits, labels = batch
    [found] = torch.autograd.grad(build(name, COUNTS, **parameters)(logits, labels), logits)
    [expected] = torch.autograd.grad(reference(logits, labels.tolist()), logits)
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=1e-9)


@each_case
def test_gradient_is_the_difference_quotient(build, batch, name, parameters, reference):
    logits, labels = (part[: len(COUNTS)] for part in batch)
    criterion = build(name, COUNTS, **parameters)
    assert torch.autograd.gradcheck(lambda z: criterion(z, labels), logits)


@each_case
def test_per_sample_values_of_single_samples_are_the_losses(
    build, batch, name, parameters, reference
):
    logits, labels = batch
    criterion = build(name, COUNTS, **parameters)
    values = criterion.per_sample(logits, labels)
    singles = [criterion.per_sample(logits[i : i + 1], labels[i : i + 1]) for i in range(N)]
    assert values.shape == (N,)
    torch.testing.assert_close(values, torch.cat(singles))


@each_case
def test_relabelling_classes_with_their_counts_changes_nothing(
    build, batch, name, parameters, reference
):
    logits, labels = batch
    order = torch.tensor([3, 0, 4, 1, 2])
    counts = [COUNTS[j] for j in order]
    relabelled = build(name, counts, **parameters)(logits[:, order], order.argsort()[labels])
    torch.testing.assert_close(relabelled, build(name, COUNTS, **parameters)(logits, labels))


def test_focal_gradient_goes_through_both_factors(build, batch):
    logits, labels = batch
    loss = build("focal", COUNTS, gamma=3.0)(logits, labels)
    p = logits.softmax(1)[range(N), labels]
    detached = (-((1 - p.detach()) ** 3) * p.log()).mean()
    torch.testing.assert_close(loss, detached)
    [found] = torch.autograd.grad(loss, logits)
    [without] = torch.autograd.grad(detached, logits)
    assert (found - without).abs().max() > 1e-3
