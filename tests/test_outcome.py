"""What renames a run and what does not; ten names that no release may change."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import pytest

import ltcore
from ltcore.components import Declaration
from ltcore.plugins import load_plugins
from ltcore.resolution import resolve
from ltcore.spec import RunSpec, Training

DEFAULT = "toy_data-toy_net-toy_loss-s42"


@pytest.fixture
def resolved(catalogue, toy_spec):
    """The toy spec with changes, resolved."""
    return lambda **fields: resolve({**toy_spec, **fields}, catalogue)


@pytest.fixture
def name_of(resolved):
    return lambda **fields: resolved(**fields).spec.name


# These names stand for ever: files of results are called so. What a change here shows is that a
# release would no longer find the results of an older one. Never adjust it.
PINNED = [
    ({}, "toy_data-toy_net-toy_loss-s42"),
    ({"seed": 0}, "toy_data-toy_net-toy_loss-s0"),
    ({"loss": {"name": "toy_loss", "lambda": 1}}, "toy_data-toy_net-toy_loss-s42-3ed7347d"),
    (
        {"loss": {"name": "toy_loss", "drw": {"start_epoch": 60}}},
        "toy_data-toy_net-toy_loss-s42-b1c74d49",
    ),
    (
        {"dataset": {"name": "toy_data", "factor": 0.01}, "seed": 3},
        "toy_data-toy_net-toy_loss-s3-d7a9c64a",
    ),
    ({"training": {"epochs": 200, "batch_size": 64}}, "toy_data-toy_net-toy_loss-s42-2b62093a"),
    (
        {"training": {"optimizer": {"name": "sgd", "lr": 0.2, "nesterov": True}}},
        "toy_data-toy_net-toy_loss-s42-280b2560",
    ),
    (
        {"training": {"scheduler": {"name": "multistep", "milestones": [160, 180]}}},
        "toy_data-toy_net-toy_loss-s42-68e0a65f",
    ),
    ({"seeds": {"data": 1, "split": 7}}, "toy_data-toy_net-toy_loss-s42-467689ec"),
    (
        {
            "transform": {"size": 32, "normalize": {"mean": [0.5, 0.5, 0.5], "std": [1, 1, 1]}},
            "backbone": {"name": "toy_net", "head": "cosine", "width": 64},
            "loss": {"name": "toy_loss", "margins": [0.25]},
            "training": {"precision": "bf16", "select": "last"},
        },
        "toy_data-toy_net-toy_loss-s42-dd91d913",
    ),
]


@pytest.mark.parametrize(("fields", "name"), PINNED)
def test_a_pinned_name_never_changes(name_of, fields, name):
    assert name_of(**fields) == name


@pytest.mark.parametrize(
    "fields",
    [
        {"dataset": {"name": "toy_data", "factor": 0.1, "shared": False}},
        {"backbone": {"name": "toy_net", "width": 8, "head": "auto", "head_scale": 30}},
        {"loss": {"name": "toy_loss", "lambda": 0.5, "margins": [0.5, 0.1], "drw": None}},
        {"transform": {"size": 16}},
        {"transform": {"size": None, "crop_padding": 4, "normalize": "study"}},
        {"training": {"select": "best"}},
        {"training": {"select": None, "epochs": 90, "compile": False}},
        {"training": {"optimizer": "adam", "scheduler": "step"}},
        {"training": {"optimizer": {"lr": 0.001}, "scheduler": {"step_size": 30}}},
        {"seeds": {"data": 42, "init": 42, "order": 42, "split": 42}},
        {"seeds": {"data": None}},
        {"seed": 42},
    ],
)
def test_a_default_that_is_spelt_out_changes_nothing(resolved, fields):
    plain, explicit = resolved(), resolved(**fields)
    assert explicit.spec == plain.spec
    assert explicit.outcome() == plain.outcome()
    assert explicit.differing() == {}
    assert explicit.spec.name == DEFAULT


def test_the_last_epoch_is_no_difference_where_it_is_taken_anyway(name_of):
    shared = {"name": "toy_data", "shared": True}
    assert name_of(dataset=shared) == name_of(dataset=shared, training={"select": "last"})
    assert name_of(dataset=shared) != name_of(dataset=shared, training={"select": "best"})


def test_seeds_that_equal_the_seed_are_no_difference(name_of):
    assert name_of(seed=7, seeds={"data": 7, "init": 7, "order": 7}) == name_of(seed=7)
    assert name_of(seed=7, seeds={"data": 42}) != name_of(seed=7)


@pytest.mark.parametrize(
    "fields",
    [
        {"dataset": {"name": "toy_data", "root": "elsewhere"}},
        {"training": {"device": "cuda:1"}},
        {"$schema": "spec.schema.json"},
    ],
)
def test_what_cannot_change_the_outcome_changes_neither_name_nor_identity(resolved, fields):
    plain, other = resolved(), resolved(**fields)
    assert other.spec.name == plain.spec.name
    assert other.outcome() == plain.outcome()


def test_a_name_of_its_own_changes_no_identity(resolved):
    plain, named = resolved(), resolved(name="mine")
    assert named.spec.name == "mine"
    assert named.outcome() == plain.outcome()
    assert named.default_name() == DEFAULT


@pytest.mark.parametrize(
    ("fields", "differing"),
    [
        ({"seed": 7}, {}),
        ({"loss": {"name": "toy_loss", "lambda": 1}}, {"loss.lambda": 1.0}),
        ({"loss": {"name": "toy_loss", "margins": [1]}}, {"loss.margins": [1.0]}),
        (
            {"loss": {"name": "toy_loss", "drw": {"start_epoch": 3}}},
            {"loss.drw.start_epoch": 3},
        ),
        (
            {"loss": {"name": "toy_loss", "drw": {"start_epoch": 3, "beta": 0.9}}},
            {"loss.drw.start_epoch": 3, "loss.drw.beta": 0.9},
        ),
        ({"loss": "Toys:toy_loss"}, {"loss.name": "Toys:toy_loss"}),
        ({"backbone": {"name": "toy_net", "head": "linear"}}, {"backbone.head": "linear"}),
        ({"transform": {"size": 17}}, {"transform.size": 17}),
        (
            {"transform": {"normalize": {"mean": [0, 0, 0], "std": [1, 1, 1]}}},
            {"transform.normalize.mean": [0.0] * 3, "transform.normalize.std": [1.0] * 3},
        ),
        ({"training": {"optimizer": "sgd"}}, {"training.optimizer.name": "sgd"}),
        (
            {"training": {"optimizer": {"name": "sgd", "momentum": 0.9, "lr": 0.2}}},
            {"training.optimizer.name": "sgd", "training.optimizer.lr": 0.2},
        ),
        ({"training": {"optimizer": {"lr": 0.1}}}, {"training.optimizer.lr": 0.1}),
        ({"training": {"scheduler": "constant"}}, {"training.scheduler.name": "constant"}),
        ({"training": {"keep_last": True}}, {"training.keep_last": True}),
        ({"training": {"select": "last"}}, {"training.select": "last"}),
        ({"seeds": {"order": 1, "split": 2}}, {"seeds.order": 1, "seeds.split": 2}),
    ],
)
def test_what_differs_from_the_default_is_named_by_its_path(resolved, fields, differing):
    found = resolved(**fields)
    assert found.differing() == differing
    assert (found.spec.name == f"toy_data-toy_net-toy_loss-s{found.spec.seed}") == (not differing)
    assert {**found.outcome(), **differing} == found.outcome()


def test_the_digits_are_eight_and_tell_values_apart(name_of):
    names = [name_of(loss={"name": "toy_loss", "lambda": value}) for value in (0, 1, 2)]
    assert len(set(names)) == 3
    for name in names:
        assert name.startswith(f"{DEFAULT}-")
        assert len(name) == len(DEFAULT) + 9
        int(name[-8:], 16)


def test_the_digits_are_of_what_differs_and_not_of_the_seed(name_of):
    fields = {"training": {"epochs": 3}}
    assert name_of(**fields)[-8:] == name_of(**fields, seed=7)[-8:]


def test_the_order_of_the_fields_is_no_difference(name_of):
    one = {"training": {"epochs": 3, "batch_size": 2}, "transform": {"size": 8}}
    other = {"transform": {"size": 8}, "training": {"batch_size": 2, "epochs": 3}}
    assert name_of(**one) == name_of(**other)


def test_the_outcome_holds_defaults_too(resolved):
    outcome = resolved().outcome()
    assert outcome["training.epochs"] == 90
    assert outcome["transform.size"] == 16
    assert outcome["loss.lambda"] == 0.5
    assert outcome["seed"] == 42
    assert not {"name", "$schema", "dataset.root", "training.device"} & set(outcome)


# What a later release may bring.


class NextTraining(Training):
    label_smoothing: float = 0.0
    averaging: Declaration | None = None


class NextSpec(RunSpec):
    deterministic: bool = True
    training: NextTraining = NextTraining()


class Extra(Declaration):
    strength: float = 1.0


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"loss": {"name": "toy_loss", "lambda": 1}},
        {"training": {"epochs": 3}, "loss": {"name": "toy_loss", "drw": {"start_epoch": 2}}},
    ],
)
def test_a_new_field_with_a_default_renames_nothing(resolved, toys, fields):
    before = resolved(**fields)
    toy = type(before.loss)

    class NextLoss(toy):
        smoothing: float = 0.0
        extra: Extra = Extra(strength=2.0)
        other: Extra | None = None

    after = replace(
        before,
        spec=NextSpec.model_validate_json(before.spec.to_json()),
        loss=NextLoss.model_validate_json(before.loss.model_dump_json()),
    )
    assert after.default_name() == before.default_name()
    assert after.differing() == before.differing()
    changed = replace(after, loss=after.loss.model_copy(update={"smoothing": 0.1}))
    assert changed.default_name() != before.default_name()


# Parameters of every form that a plugin may declare.


class Shape(Enum):
    ROUND = "round"
    SQUARE = "square"


class Settings(Declaration):
    depth: int = 1
    folder: str = ltcore.Field(default="cache", affects_outcome=False)


class Rich(ltcore.Loss):
    """A loss with parameters of many types."""

    name: ClassVar[str] = "rich"
    path: Path = Path("a")
    shape: Shape = Shape.ROUND
    words: frozenset[str] = frozenset({"a", "b", "c", "d"})
    pairs: dict[str, tuple[int, int]] = ltcore.Field(default_factory=dict)
    stages: tuple[Settings, ...] = ()
    settings: Settings = Settings(depth=3)
    optional: Settings | None = None

    def build(self, classes: ltcore.Classes) -> Any:
        raise NotImplementedError


class RichPlugin:
    @ltcore.hookimpl
    def ltcore_register_losses(self):
        return [Rich]


@pytest.fixture
def rich(toys, install, toy_spec):
    """The toy spec with the rich loss and parameters of it, resolved."""
    catalogue = load_plugins(toys, RichPlugin())
    return lambda **fields: resolve({**toy_spec, "loss": {"name": "rich", **fields}}, catalogue)


@pytest.mark.parametrize(
    ("fields", "differing"),
    [
        ({}, {}),
        ({"path": "a", "shape": "round", "words": ["d", "c", "b", "a"]}, {}),
        ({"settings": {"depth": 3, "folder": "elsewhere"}}, {}),
        ({"path": "b"}, {"loss.path": "b"}),
        ({"shape": "square"}, {"loss.shape": "square"}),
        ({"words": ["z", "y", "x"]}, {"loss.words": ["x", "y", "z"]}),
        ({"pairs": {"k": [1, 2]}}, {"loss.pairs": {"k": [1, 2]}}),
        ({"stages": [{"depth": 2}, {"folder": "x"}]}, {"loss.stages": [{"depth": 2}, {}]}),
        ({"settings": {"depth": 1}}, {"loss.settings.depth": 1}),
        ({"optional": {}}, {"loss.optional": {}}),
        ({"optional": {"depth": 2}}, {"loss.optional": {}, "loss.optional.depth": 2}),
    ],
)
def test_parameters_of_every_form_are_compared_as_json_holds_them(rich, fields, differing):
    found = rich(**fields)
    assert found.differing() == differing
    json.dumps(found.outcome())
    assert (found.spec.name == "toy_data-toy_net-rich-s42") == (not differing)


def test_a_name_is_the_same_in_every_process(rich):
    program = """
import sys; sys.path.insert(0, sys.argv[1])
from conftest import Toys
from test_outcome import RichPlugin
from ltcore.plugins import load_plugins
from ltcore.resolution import resolve
loss = {"name": "rich", "words": [str(i) for i in range(20)]}
spec = {"dataset": "toy_data", "backbone": "toy_net", "loss": loss}
print(resolve(spec, load_plugins(Toys(), RichPlugin())).spec.name)
"""
    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == rich(words=[str(i) for i in range(20)]).spec.name


def test_components_of_two_distributions_are_not_taken_for_one(resolved):
    assert resolved(loss="Toys:toy_loss").outcome() != resolved(loss="toy_loss").outcome()
