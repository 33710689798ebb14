"""The conformance checks: each rule catches what breaks it, and a sound component passes them all."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pydantic
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ltcore
from ltcore.reporting.reporters import builtin_reporters
from ltcore.testing import (
    ConformanceError,
    check_backbone,
    check_dataset,
    check_loss,
    check_reporter,
)

CHECKS = {
    "loss": check_loss,
    "backbone": check_backbone,
    "dataset": check_dataset,
    "reporter": check_reporter,
}


def made(base, **declared):
    """A component like another but in what is given: methods, or values of class variables."""
    values = [name for name, value in declared.items() if not callable(value)]
    annotations = dict.fromkeys(values, ClassVar)
    namespace = {"__module__": __name__, "__doc__": "Made for a test.", **declared}
    return type(base)("Made", (base,), {**namespace, "__annotations__": annotations})


def loss_with(criterion, **declared):
    """A loss that builds another criterion."""
    return made(Sound, build=lambda self, classes: criterion(classes.counts), **declared)


# Losses.


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
    return F.cross_entropy(logits, labels, reduction="none")


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
    return cross_entropy(logits, labels) * (1 + 0.1 * torch.rand(len(labels)))


def _moving_scale(self, logits, labels):
    self.counts += 1
    return F.cross_entropy(logits, labels)


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


class WithTau(Sound):
    """A loss with a parameter that is left out when it is written."""

    tau: float = ltcore.Field(default=1.0, exclude=True, description="Of no use.")


class WithSilentParameter(Sound):
    """A loss with a parameter that is not described."""

    tau: float = 1.0


class TakesAnything(Sound):
    """Ignores misspelt parameters."""

    model_config = pydantic.ConfigDict(extra="ignore")


class Thawed(Sound):
    """Its parameters can be changed."""

    model_config = pydantic.ConfigDict(frozen=False)


BROKEN_LOSSES = [
    ("is_accepted_as_a_plugin", made(Sound, name="Not-A-Name")),
    ("documents_itself", made(Sound, __doc__=None)),
    ("documents_itself", WithSilentParameter),
    ("refuses_unknown_parameters", TakesAnything),
    ("is_frozen", Thawed),
    ("parameters_survive_json", WithTau(tau=0.5)),
    ("declares_a_known_head", made(Sound, head="conv")),
    ("declares_a_known_prior", made(Sound, trained_prior="test")),
    ("builds_a_module", made(Sound, build=lambda self, classes: F.cross_entropy)),
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
    ("refuses_or_bears_empty_classes", loss_with(WeighsByShareOfInverse)),
    (
        "relabelling_classes_changes_nothing",
        loss_with(per_sample(lambda self, z, y: cross_entropy(z, y) * (1 + y))),
    ),
    (
        "order_within_the_batch_changes_nothing",
        loss_with(per_sample(lambda self, z, y: cross_entropy(z, y) * torch.arange(len(y)))),
    ),
    ("leaves_the_class_counts_alone", SortsCounts),
    ("forward_changes_no_state", loss_with(criterion(_moving_scale))),
    ("randomness_comes_from_the_generator", loss_with(per_sample(_noisy))),
    (
        "gives_one_value_a_sample",
        loss_with(per_sample(lambda s, z, y: cross_entropy(z, y)[:, None])),
    ),
    ("leaves_reducing_to_ltcore", loss_with(ReducesItself)),
    ("state_depends_on_the_epoch_alone", loss_with(CountsEpochs)),
    ("follows_the_device", loss_with(KeepsConstantBehind)),
    (
        "follows_the_device",
        loss_with(per_sample(lambda self, z, y: cross_entropy(z * torch.ones(len(y), 1), y))),
    ),
]


# Backbones.


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


class SoundBackbone(ltcore.Backbone):
    """One convolution."""

    name: ClassVar[str] = "sound"
    input_size: ClassVar[int] = 8
    model: ClassVar[type[nn.Module]] = SoundModel

    def build(self, num_classes, head):
        model = self.model()
        ltcore.replace_head(model, num_classes, head, scale=self.head_scale)
        return model


def model_with(**methods):
    return type("Model", (SoundModel,), methods)


def _build_nothing(self, num_classes, head):
    return head


def _build_for_ten_classes(self, num_classes, head):
    return SoundBackbone.build(self, 10, head)


def _build_linear(self, num_classes, head):
    return SoundBackbone.build(self, num_classes, "linear")


def _build_plain_linear(self, num_classes, head):
    model = SoundBackbone.build(self, num_classes, head)
    if head == "linear":
        model.linear = nn.Linear(6, num_classes)
    return model


def _build_with_frozen_head(self, num_classes, head):
    model = SoundBackbone.build(self, num_classes, head)
    model.linear.requires_grad_(False)
    return model


def _build_with_unused_parameter(self, num_classes, head):
    model = SoundBackbone.build(self, num_classes, head)
    model.spare = nn.Parameter(torch.ones(1))
    return model


def _build_seeded(self, num_classes, head):
    torch.manual_seed(0)
    return SoundBackbone.build(self, num_classes, head)


def _build_unseeded(self, num_classes, head):
    model = SoundBackbone.build(self, num_classes, head)
    model.norm.bias.data.fill_(np.random.default_rng().random())
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


BROKEN_BACKBONES = [
    ("declares_an_input_size", made(SoundBackbone, input_size=8.0)),
    (
        "declares_a_normalization",
        made(
            SoundBackbone,
            normalization=ltcore.Normalization((123.0, 117.0, 104.0), (1.0, 1.0, 1.0)),
        ),
    ),
    ("builds_a_module", made(SoundBackbone, build=_build_nothing)),
    ("gives_one_logit_a_class", made(SoundBackbone, build=_build_for_ten_classes)),
    ("gives_one_logit_a_class", made(SoundBackbone, model=model_with(forward=_tuple_in_training))),
    ("logits_are_float32", made(SoundBackbone, build=_build_plain_linear)),
    ("builds_the_head_that_is_asked_for", made(SoundBackbone, build=_build_linear)),
    ("gradient_reaches_what_trains", made(SoundBackbone, build=_build_with_frozen_head)),
    ("gradient_reaches_what_trains", made(SoundBackbone, build=_build_with_unused_parameter)),
    ("evaluation_keeps_images_apart", made(SoundBackbone, model=ComparesImages)),
    ("takes_channels_last_images", made(SoundBackbone, model=Flattens)),
    ("leaves_images_alone", made(SoundBackbone, model=model_with(forward=_scale_in_place))),
    ("draws_weights_from_the_seed", made(SoundBackbone, build=_build_seeded)),
    ("draws_weights_from_the_seed", made(SoundBackbone, build=_build_unseeded)),
    (
        "draws_in_training_from_the_seed",
        made(SoundBackbone, model=model_with(forward=_numpy_dropout)),
    ),
    ("evaluation_changes_no_state", made(SoundBackbone, model=CountsCalls)),
    ("state_dict_restores_the_model", made(SoundBackbone, model=RemembersOutsideItsState)),
]


# Data sets.

COUNTS = np.array([120, 30, 8])


def pictures(split, counts, seed, largest=150):
    """Images that are functions of their ids, the first of each class in the order of the seed."""
    labels = np.repeat(np.arange(len(counts)), largest)
    ids = np.array([f"{split}/{label}/{i}" for i, label in enumerate(labels)])
    chosen = ltcore.protocol.draw_per_class(labels, ids, np.asarray(counts), seed)
    values = (chosen % 251).astype(np.uint8)[:, None, None, None]
    images = np.broadcast_to(values, (len(chosen), 3, 2, 2)).copy()
    return ltcore.Split(images, labels[chosen], ids[chosen])


class SoundDataset(ltcore.Dataset):
    """Three classes of plain pictures."""

    name: ClassVar[str] = "sound"
    test_counts: ClassVar[tuple[int, ...]] = (5, 5, 5)

    def build(self, seeds):
        rank = ltcore.protocol.ranks(COUNTS)
        test = self.test(seeds)
        views = ltcore.protocol.evaluation_views(
            test.labels, test.ids, train_counts=COUNTS, rank=rank, factor=0.1, seed=seeds.split
        )
        test = replace(test, views=self.views(views))
        classes = ltcore.Classes(
            ("red", "green", "blue"), COUNTS, ltcore.protocol.class_groups(rank)
        )
        val = pictures("val", [4, 4, 4], seeds.split)
        return ltcore.Splits(self.train(seeds), val, test, classes)

    def train(self, seeds):
        return pictures("train", COUNTS, seeds.data)

    def test(self, seeds):
        return pictures("test", self.test_counts, seeds.split)

    def views(self, views):
        return views


def changed_splits(**change):
    """A data set of which something is replaced once it is built."""

    def build(self, seeds):
        splits = SoundDataset.build(self, seeds)
        return replace(splits, **{name: new(splits) for name, new in change.items()})

    return made(SoundDataset, build=build)


def _pictures_by_number(self, seeds):
    split = pictures("train", COUNTS, seeds.data)
    return replace(split, ids=np.array([f"train/{i}" for i in range(len(split))]))


def _train_by_luck(self, seeds):
    return pictures("train", COUNTS, int(np.random.default_rng().integers(10**9)))


def _unsorted(views):
    return {**views, "long_tailed": views["long_tailed"][::-1]}


BROKEN_DATASETS = [
    ("builds_splits", made(SoundDataset, build=lambda self, seeds: None)),
    ("gives_the_same_for_the_same_seeds", made(SoundDataset, train=_train_by_luck)),
    (
        "holds_out_by_the_split_seed_alone",
        made(SoundDataset, test=lambda self, seeds: pictures("test", [5] * 3, seeds.data)),
    ),
    (
        "draws_by_the_data_seed_alone",
        made(SoundDataset, train=lambda self, seeds: pictures("train", COUNTS, seeds.init)),
    ),
    ("names_one_image_by_one_id", made(SoundDataset, train=_pictures_by_number)),
    ("declares_whether_val_is_test", changed_splits(val=lambda splits: splits.test)),
    ("declares_whether_val_is_test", made(SoundDataset, val_is_test=True)),
    ("keeps_val_and_test_apart", changed_splits(val=lambda splits: replace(splits.test))),
    (
        "has_its_image_files",
        changed_splits(
            train=lambda splits: replace(
                splits.train, images=ltcore.ImageFiles(tuple(splits.train.ids.tolist()))
            )
        ),
    ),
    (
        "groups_are_thirds",
        changed_splits(
            classes=lambda splits: replace(splits.classes, groups=np.zeros(3, dtype=np.uint8)),
            test=lambda splits: replace(
                splits.test, views={"balanced": splits.test.views["balanced"]}
            ),
        ),
    ),
    ("views_hold_what_they_are_called", made(SoundDataset, views=lambda self, views: {})),
    (
        "views_hold_what_they_are_called",
        made(SoundDataset, views=lambda self, views: _unsorted(views)),
    ),
    (
        "views_hold_what_they_are_called",
        made(SoundDataset, views=lambda self, views: {**views, "few": views["many"]}),
    ),
    (
        "views_hold_what_they_are_called",
        made(SoundDataset, views=lambda self, views: {"all": views["balanced"]}),
    ),
]


# Reporters.


class SoundReporter(ltcore.Reporter):
    """A line a run."""

    name: ClassVar[str] = "lines"
    suffix: ClassVar[str] = ".txt"

    def render(self, comparison):
        return "# runs\n" + "".join(self.line(run) for run in comparison.runs)

    def line(self, run):
        return f"{run.backbone!a} {run.loss!a} {list(run.metrics)!a}\n"


def _render_and_print(self, comparison):
    print("rendering")
    return SoundReporter.render(self, comparison)


def _render_with_a_number(self, comparison):
    number = np.random.default_rng().random()
    return f"{number}\n{SoundReporter.render(self, comparison)}"


def _render_first(self, comparison):
    return f"the first is {comparison.runs[0]!a} {SoundReporter.render(self, comparison)}"


def _line_with_tail(self, run):
    return f"{run.backbone!a} {run.loss!a} {run.metrics['tail'].top1:.2f}\n"


def _raw_line(self, run):
    return f"{run.backbone} {run.loss}\n"


def _line_without_line_breaks(self, run):
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u202e]", "", f"{run.backbone} {run.loss}") + "\n"


def _line_with_line_breaks(self, run):
    return re.sub(r"[^\n -~]", "", f"{run.backbone} {run.loss}") + "\n"


BROKEN_REPORTERS = [
    ("is_accepted_as_a_plugin", made(SoundReporter, name="html")),
    ("declares_a_suffix", made(SoundReporter, suffix="txt")),
    ("renders_text", made(SoundReporter, render=lambda self, comparison: b"")),
    ("shows_every_run", made(SoundReporter, line=lambda self, run: f"{run.backbone!a}\n")),
    ("renders_the_same_again", made(SoundReporter, render=_render_with_a_number)),
    ("prints_nothing", made(SoundReporter, render=_render_and_print)),
    ("bears_an_empty_comparison", made(SoundReporter, render=_render_first)),
    ("bears_gaps", made(SoundReporter, line=_line_with_tail)),
    ("lets_no_name_inject", made(SoundReporter, line=_raw_line)),
    ("lets_no_name_inject", made(SoundReporter, line=_line_with_line_breaks)),
    *[
        ("lets_no_name_inject", made(SoundReporter, line=_line_without_line_breaks, suffix=suffix))
        for suffix in (".html", ".tex", ".csv")
    ],
]

SOUND = {
    "loss": Sound,
    "backbone": SoundBackbone,
    "dataset": SoundDataset,
    "reporter": SoundReporter,
}
BROKEN = {
    "loss": BROKEN_LOSSES,
    "backbone": BROKEN_BACKBONES,
    "dataset": BROKEN_DATASETS,
    "reporter": BROKEN_REPORTERS,
}
# Rules that cannot be broken without another: what only the second time differs, for example.
ALSO_BROKEN = {
    "gives_the_same_for_the_same_seeds": {"draws_by_the_data_seed_alone"},
    "draws_weights_from_the_seed": {"builds_the_head_that_is_asked_for"},
}


def each(table):
    return [
        pytest.param(CHECKS[kind], rule, component, id=f"{kind}-{rule}-{index}")
        for kind, rows in table.items()
        for index, (rule, component) in enumerate(rows)
    ]


@pytest.mark.parametrize(("check", "rule", "component"), each(BROKEN))
def test_broken_component_is_caught_by_the_rule_that_it_breaks(check, rule, component):
    with pytest.raises(ConformanceError) as caught:
        check(component)
    assert rule in caught.value.broken
    assert caught.value.broken.keys() <= {rule} | ALSO_BROKEN.get(rule, set())


@pytest.mark.parametrize("kind", CHECKS)
def test_sound_component_passes_every_rule_that_catches_a_broken_one(kind):
    of_every_kind = {rule for rule, _ in BROKEN_LOSSES[:6]}
    conditional = {"has_its_image_files"}
    rules = {rule for rule, _ in BROKEN[kind]} | of_every_kind
    assert set(CHECKS[kind](SOUND[kind])) == rules - conditional
