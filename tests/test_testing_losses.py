"""check_loss: each rule catches the loss that breaks it, and a sound one passes them all."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ltcore
from ltcore.testing import ConformanceError, check_loss
from ltcore.testing.declarations import DECLARATION


class SoundCriterion(ltcore.PerSampleLoss):
    def __init__(self, counts):
        super().__init__()
        self.register_buffer("shift", torch.tensor(np.log(counts / counts.sum())).float())

    def per_sample(self, logits, labels):
        return F.cross_entropy(logits + self.shift, labels, reduction="none")


class Sound(ltcore.Loss):
    """Balanced softmax."""

    name: ClassVar[str] = "sound"

    def build(self, classes):
        classes.require_images("it")
        return SoundCriterion(classes.counts)


def made(**declared):
    """A component like the sound one, but for methods or class variables."""
    return type(Sound)("Made", (Sound,), {"__doc__": "It.", "__module__": __name__, **declared})


def loss_with(criterion):
    """A loss that builds another criterion."""

    def build(self, classes):
        classes.require_images("it")
        return criterion(classes.counts)

    return made(build=build)


def per_sample(function):
    """A criterion whose per-sample values are those of a function of (self, logits, labels)."""
    return type("Criterion", (SoundCriterion,), {"per_sample": function})


def criterion(function):
    """A criterion whose value is that of a function of (self, logits, labels)."""
    return type("Criterion", (nn.Module,), {"__init__": _keep_counts, "forward": function})


def _keep_counts(self, counts):
    nn.Module.__init__(self)
    self.register_buffer("counts", torch.tensor(counts))


def cross_entropy(logits, labels):
    return F.cross_entropy(logits.float(), labels, reduction="none")


def _focal_with_stopped_gradient(self, logits, labels):
    values = cross_entropy(logits, labels)
    return (1 - (-values).exp().detach()) ** 2 * values


def _naive(self, logits, labels):
    probabilities = logits.exp() / logits.exp().sum(1, keepdim=True)
    return -probabilities.gather(1, labels[:, None])[:, 0].log()


def _changes_logits(self, logits, labels):
    logits += self.shift
    return cross_entropy(logits, labels)


def _noisy(self, logits, labels):
    noise = torch.rand(len(labels), device=labels.device) if self.training else 0.5
    return cross_entropy(logits, labels) * (1 + 0.1 * noise)


def _moving_scale(self, logits, labels):
    self.counts += 1
    return cross_entropy(logits, labels).mean()


class CountsEpochs(SoundCriterion):
    epochs = 0

    def start_epoch(self, epoch):
        self.epochs += 1

    def per_sample(self, logits, labels):
        return (1 + 0.1 * self.epochs) * super().per_sample(logits, labels)


class KeepsConstantBehind(SoundCriterion):
    def __init__(self, counts):
        super().__init__(counts)
        self.weights = [torch.ones(len(counts))]


class ReducesItself(SoundCriterion):
    def forward(self, logits, labels):
        return self.per_sample(logits, labels).sum()


class BypassesItsValues(ltcore.AdjustedCrossEntropy):
    def __init__(self, counts):
        super().__init__()

    def per_sample(self, logits, labels):
        return 2 * cross_entropy(logits, labels)


class WeighsByShareOfInverse(SoundCriterion):
    def __init__(self, counts):
        inverse = 1 / torch.tensor(counts)
        super().__init__(counts + 1)
        self.class_weights = inverse / inverse.sum()


class SortsCounts(Sound):
    """Changes the class counts that it is given."""

    def build(self, classes):
        module = super().build(classes)
        classes.counts.sort()
        return module


BROKEN = [
    ("builds_a_module", made(build=lambda self, classes: F.cross_entropy)),
    ("leaves_its_arguments_alone", loss_with(per_sample(_changes_logits))),
    (
        "leaves_its_arguments_alone",
        loss_with(criterion(lambda self, z, y: z.sum() * y.zero_().sum())),
    ),
    ("gives_one_real_number", loss_with(criterion(lambda self, z, y: None))),
    ("gives_one_real_number", loss_with(criterion(lambda self, z, y: cross_entropy(z, y)))),
    ("gives_one_real_number", loss_with(criterion(lambda self, z, y: z.sum() * 1j))),
    ("gives_one_real_number", loss_with(criterion(lambda self, z, y: y.sum()))),
    ("gradient_reaches_the_logits", loss_with(per_sample(lambda self, z, y: z.detach()[:, 0]))),
    ("gradient_reaches_the_logits", loss_with(per_sample(lambda self, z, y: 0 * z[:, 0]))),
    ("gradient_is_that_of_the_value", loss_with(per_sample(_focal_with_stopped_gradient))),
    ("being_right_costs_less", loss_with(per_sample(lambda self, z, y: -cross_entropy(z, y)))),
    ("stays_finite_for_extreme_logits", loss_with(per_sample(_naive))),
    (
        "takes_a_single_sample",
        loss_with(criterion(lambda self, z, y: cross_entropy(z, y).sum() / (len(y) - 1))),
    ),
    (
        "refuses_or_bears_empty_classes",
        made(build=lambda self, classes: WeighsByShareOfInverse(classes.counts)),
    ),
    (
        "relabelling_classes_changes_nothing",
        loss_with(per_sample(lambda self, z, y: cross_entropy(z, y) * (1 + y))),
    ),
    (
        "order_within_the_batch_changes_nothing",
        loss_with(per_sample(lambda self, z, y: cross_entropy(z, y) * torch.arange(len(y)).to(y))),
    ),
    ("leaves_the_class_counts_alone", SortsCounts),
    ("forward_changes_no_state", loss_with(criterion(_moving_scale))),
    ("randomness_comes_from_the_generator", loss_with(per_sample(_noisy))),
    (
        "gives_one_value_a_sample",
        loss_with(per_sample(lambda s, z, y: cross_entropy(z, y)[:, None])),
    ),
    ("leaves_reducing_to_ltcore", loss_with(ReducesItself)),
    ("leaves_reducing_to_ltcore", loss_with(BypassesItsValues)),
    ("state_depends_on_the_epoch_alone", loss_with(CountsEpochs)),
    ("follows_the_device", loss_with(KeepsConstantBehind)),
    (
        "follows_the_device",
        loss_with(per_sample(lambda self, z, y: cross_entropy(z * torch.ones(len(y), 1), y))),
    ),
]


@pytest.mark.parametrize(("rule", "component"), BROKEN)
def test_broken_loss_is_caught_by_the_rule_that_it_breaks(rule, component):
    with pytest.raises(ConformanceError) as caught:
        check_loss(component)
    assert caught.value.broken.keys() == {rule}


def test_sound_loss_passes_every_rule_that_catches_a_broken_one():
    rules = {rule for rule, _ in BROKEN} | {rule.__name__ for rule in DECLARATION}
    assert set(check_loss(Sound)) == rules - {"declaring_imports_no_torch"}
