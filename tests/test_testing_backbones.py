"""check_backbone: each rule catches the backbone that breaks it, a sound one passes them all."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ltcore
from ltcore.testing import ConformanceError, check_backbone
from ltcore.testing.declarations import DECLARATION


class SoundModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.linear = nn.Linear(6, 2)

    def forward(self, images):
        return self.linear(self.features(images).mean((2, 3)))

    def features(self, images):
        return F.relu(self.norm(self.conv(images)))


class Sound(ltcore.Backbone):
    """One convolution."""

    name: ClassVar[str] = "sound"
    input_size: ClassVar[int] = 8
    model: ClassVar[type[nn.Module]] = SoundModel

    def build(self, num_classes, head):
        model = self.model()
        ltcore.replace_head(model, num_classes, head, scale=self.head_scale)
        return model


def made(**declared):
    """A component like the sound one, but for methods or class variables."""
    return type(Sound)("Made", (Sound,), {"__doc__": "It.", "__module__": __name__, **declared})


def model_with(**methods):
    return type("Model", (SoundModel,), methods)


def _build_nothing(self, num_classes, head):
    return head


def _build_for_ten_classes(self, num_classes, head):
    return Sound.build(self, 10, head)


def _build_linear(self, num_classes, head):
    return Sound.build(self, num_classes, "linear")


def _build_plain_linear(self, num_classes, head):
    model = Sound.build(self, num_classes, head)
    if head == "linear":
        model.linear = nn.Linear(6, num_classes)
    return model


def _build_with_frozen_head(self, num_classes, head):
    model = Sound.build(self, num_classes, head)
    model.linear.requires_grad_(False)
    return model


def _build_with_unused_parameter(self, num_classes, head):
    model = Sound.build(self, num_classes, head)
    model.spare = nn.Parameter(torch.ones(1))
    return model


def _build_seeded(self, num_classes, head):
    torch.manual_seed(0)
    return Sound.build(self, num_classes, head)


def _build_unseeded(self, num_classes, head):
    model = Sound.build(self, num_classes, head)
    model.register_buffer("luck", torch.tensor(np.random.default_rng().random()))
    return model


def _tuple_in_training(self, images):
    logits = SoundModel.forward(self, images)
    return (logits, logits) if self.training else logits


def _scale_in_place(self, images):
    return SoundModel.forward(self, images.mul_(2))


def _numpy_dropout(self, images):
    noise = np.random.default_rng().random() if self.training else 1
    return SoundModel.forward(self, images) * noise


class ComparesImages(SoundModel):
    def features(self, images):
        return super().features(images - images.mean(0))


class Flattens(SoundModel):
    def features(self, images):
        features = super().features(images)
        return features.view(len(images), -1).view(features.shape)


class CountsCalls(SoundModel):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, images):
        self.calls += 1
        return super().forward(images)


class RemembersOutsideItsState(SoundModel):
    offset = 0.0

    def forward(self, images):
        logits = super().forward(images)
        if self.training:
            self.offset = logits.detach().mean()
        return logits + self.offset


OF_PIXELS_TO_255 = property(
    lambda self: ltcore.Normalization((123.0, 117.0, 104.0), (58.0, 57.0, 57.0))
)

BROKEN = [
    ("declares_an_input_size", made(input_size=8.0)),
    ("declares_a_normalization", made(normalization=OF_PIXELS_TO_255)),
    ("builds_a_module", made(build=_build_nothing)),
    ("gives_one_logit_a_class", made(build=_build_for_ten_classes)),
    ("gives_one_logit_a_class", made(model=model_with(forward=_tuple_in_training))),
    ("logits_are_float32", made(build=_build_plain_linear)),
    ("builds_the_head_that_is_asked_for", made(build=_build_linear)),
    ("gradient_reaches_what_trains", made(build=_build_with_frozen_head)),
    ("gradient_reaches_what_trains", made(build=_build_with_unused_parameter)),
    ("evaluation_keeps_images_apart", made(model=ComparesImages)),
    ("takes_channels_last_images", made(model=Flattens)),
    ("leaves_images_alone", made(model=model_with(forward=_scale_in_place))),
    ("draws_weights_from_the_seed", made(build=_build_seeded)),
    ("draws_weights_from_the_seed", made(build=_build_unseeded)),
    ("draws_in_training_from_the_seed", made(model=model_with(forward=_numpy_dropout))),
    ("evaluation_changes_no_state", made(model=CountsCalls)),
    ("state_dict_restores_the_model", made(model=RemembersOutsideItsState)),
]


@pytest.mark.parametrize(("rule", "component"), BROKEN)
def test_broken_backbone_is_caught_by_the_rule_that_it_breaks(rule, component):
    with pytest.raises(ConformanceError) as caught:
        check_backbone(component)
    assert caught.value.broken.keys() == {rule}


def test_sound_backbone_passes_every_rule_that_catches_a_broken_one():
    rules = {rule for rule, _ in BROKEN} | {rule.__name__ for rule in DECLARATION}
    assert set(check_backbone(Sound)) == rules - {"declaring_imports_no_torch"}
