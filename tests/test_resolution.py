"""Core and components checked together; every default filled; what is stored resolves to itself."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator

import ltcore
from ltcore.documents import with_overrides
from ltcore.errors import LtcoreError
from ltcore.plugins import load_plugins
from ltcore.resolution import resolve, resolve_component


@pytest.fixture
def resolved(catalogue, toy_spec):
    """The toy spec with changes, resolved."""
    return lambda **fields: resolve({**toy_spec, **fields}, catalogue, "spec.json")


@pytest.fixture
def refused(resolved):
    """The lines of what is said of the toy spec with changes."""

    def refused(**fields) -> list[str]:
        with pytest.raises(ltcore.SpecError) as caught:
            resolved(**fields)
        return str(caught.value).splitlines()

    return refused


def test_resolve_fills_every_default(resolved):
    assert json.loads(resolved().spec.to_json()) == {
        "name": "toy_data-toy_net-toy_loss-s42",
        "seed": 42,
        "seeds": {"data": 42, "init": 42, "order": 42, "split": 42},
        "dataset": {"name": "toy_data", "root": "data", "factor": 0.1, "shared": False},
        "transform": {
            "size": 16,
            "crop_padding": 4,
            "horizontal_flip": 0.5,
            "normalize": "study",
        },
        "backbone": {"name": "toy_net", "head": "auto", "head_scale": 30.0, "width": 8},
        "loss": {"name": "toy_loss", "drw": None, "lambda": 0.5, "margins": [0.5, 0.1]},
        "training": {
            "epochs": 90,
            "batch_size": 128,
            "eval_batch_size": 256,
            "optimizer": {"name": "adam", "lr": 0.001, "weight_decay": 0.0},
            "scheduler": {"name": "step", "step_size": 30, "gamma": 0.1, "warmup_epochs": 0},
            "device": "auto",
            "precision": "fp32",
            "compile": False,
            "cuda_graphs": False,
            "select": "best",
            "deterministic": False,
            "sync_batch_norm": False,
            "keep_last": False,
            "image_gb": None,
            "checkpoint_minutes": 10.0,
            "timeout_seconds": 600.0,
        },
    }


def test_resolve_gives_the_components_with_their_parameters(resolved):
    found = resolved(loss={"name": "toy_loss", "lambda": 2, "margins": [1]})
    assert (found.loss.lambda_, found.loss.margins) == (2.0, (1.0,))
    assert found.dataset.factor == 0.1
    assert found.backbone.width == 8
    assert dict(found.plugins) == {"Toys": ""}


def test_resolve_takes_the_last_epoch_where_val_is_test(resolved):
    shared = {"name": "toy_data", "shared": True}
    assert resolved(dataset=shared).spec.training.select == "last"
    assert resolved(dataset=shared, training={"select": "best"}).spec.training.select == "best"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": "mine", "seed": 7, "seeds": {"init": 1, "split": 2}},
        {"loss": {"name": "Toys:toy_loss", "lambda": 1, "drw": {"start_epoch": 3}}},
        {"dataset": {"name": "toy_data", "shared": True, "root": "elsewhere"}},
        {"transform": {"normalize": {"mean": [0, 0.5, 1], "std": [1, 1, 0.1]}}},
        {
            "training": {
                "optimizer": {"name": "sgd", "nesterov": True},
                "scheduler": {"name": "multistep", "milestones": [3, 5]},
                "device": "cuda:1",
            }
        },
    ],
)
def test_a_resolved_spec_resolves_to_itself(resolved, catalogue, fields):
    once = resolved(**fields)
    stored = once.spec.to_json()
    for document in (once.spec, json.loads(stored), ltcore.RunSpec.model_validate_json(stored)):
        again = resolve(document, catalogue)
        assert again.spec == once.spec
        assert again.spec.to_json() == stored
        assert again.components == once.components
        assert again.outcome() == once.outcome()
        assert again.default_name() == once.default_name()


def test_resolve_of_a_run_spec_is_that_of_its_json(catalogue, toy_spec):
    fields = {**toy_spec, "training": {"epochs": 3, "optimizer": "adamw"}, "name": "mine"}
    assert resolve(ltcore.RunSpec(**fields), catalogue) == resolve(fields, catalogue)


def test_resolve_takes_paths_and_tuples_of_python(resolved):
    data = {"name": "toy_data", "root": Path("a") / "b"}
    found = resolved(dataset=data, loss={"name": "toy_loss", "margins": (1, 2)})
    assert found.dataset.root == str(Path("a") / "b")
    assert found.loss.margins == (1.0, 2.0)


def test_resolve_leaves_its_argument_alone(catalogue, toy_spec):
    document = {**toy_spec, "loss": {"name": "toy_loss", "drw": {"start_epoch": 1}}}
    before = json.dumps(document)
    resolve(document, catalogue)
    assert json.dumps(document) == before


def test_every_mistake_of_core_and_components_is_told_in_the_order_of_the_fields(refused):
    assert refused(
        loss="toy_los",
        training={"epochs": 0, "momentum": 1},
        backbone={"name": "toy_net", "width": 0, "depth": 1},
        dataset={"name": "toy_data", "factor": "1"},
        gama=1,
    ) == [
        (
            "spec.json: gama: unknown field. Did you mean 'training.scheduler.gamma'? Known here: "
            "$schema, name, seed, seeds, dataset, transform, backbone, loss, training"
        ),
        'spec.json: dataset.factor: must be a number, is "1"',
        "spec.json: backbone.width: must be at least 1, is 0",
        "spec.json: backbone.depth: unknown field. Known here: head, head_scale, width",
        "spec.json: loss.name: no loss is called 'toy_los'. Did you mean 'toy_loss'?",
        "  Installed: toy_loss (Toys)",
        "  To install ltcore's own: pip install ltcore-losses",
        "spec.json: training.epochs: must be at least 1, is 0",
        (
            "spec.json: training.momentum: unknown field. Did you mean "
            "'training.optimizer.momentum'? Known here: epochs, batch_size, eval_batch_size, "
            "optimizer, scheduler, device, precision, compile, cuda_graphs, deterministic, "
            "sync_batch_norm, select, keep_last, image_gb, checkpoint_minutes, timeout_seconds"
        ),
    ]


def test_a_component_s_parameter_at_the_wrong_place_is_sent_home(refused):
    (line,) = refused(margins=[1])
    assert "margins: unknown field. Did you mean 'loss.margins'?" in line
    (line,) = refused(loss={"name": "toy_loss", "epochs": 3})
    assert line == (
        "spec.json: loss.epochs: unknown field. Did you mean 'training.epochs'? "
        "Known here: drw, lambda, margins"
    )
    (line,) = refused(loss={"name": "toy_loss", "start_epoch": 3})
    assert "Did you mean 'loss.drw.start_epoch'?" in line


def test_an_alias_is_the_only_name_of_a_parameter(refused):
    (line,) = refused(loss={"name": "toy_loss", "lambda_": 1})
    assert "loss.lambda_: unknown field. Did you mean 'lambda'?" in line


def test_missing_components_are_named(catalogue):
    with pytest.raises(ltcore.SpecError) as caught:
        resolve({}, catalogue, "spec.json")
    assert str(caught.value).splitlines() == [
        f"spec.json: {field}: required, and missing" for field in ("dataset", "backbone", "loss")
    ]


def test_reweighting_that_is_never_reached_is_refused(refused, resolved):
    drw = {"name": "toy_loss", "drw": {"start_epoch": 3}}
    assert refused(loss=drw, training={"epochs": 3}) == [
        (
            "spec.json: loss.drw.start_epoch: 3 is never reached in 3 epochs (counted from 0); "
            "choose less than 3"
        )
    ]
    assert resolved(loss=drw, training={"epochs": 4}).loss.drw.start_epoch == 3


def test_what_json_cannot_hold_is_refused_with_its_field(refused):
    assert refused(seed=math.inf, dataset={"name": "toy_data", "root": {1}}) == [
        "spec.json: dataset.root: must be something that JSON can hold, is of type set",
        "spec.json: seed: must be a finite number, is Infinity",
    ]


def test_a_document_that_is_no_object_is_refused(catalogue):
    with pytest.raises(ltcore.SpecError) as caught:
        resolve(["toy_data"], catalogue)
    assert str(caught.value) == 'a spec is an object, this is ["toy_data"]'


def test_set_beats_the_file_which_beats_the_default(catalogue, toy_spec):
    document = {**toy_spec, "training": {"epochs": 3, "batch_size": 4, "optimizer": "sgd"}}
    overrides = {
        "training.epochs": "5",
        "training.optimizer.lr": "0.5",
        "loss.lambda": "1",
        "loss.drw.start_epoch": "2",
        "training.scheduler": "cosine",
        "name": "mine",
    }
    found = resolve(with_overrides(document, overrides), catalogue)
    stored = json.loads(found.spec.to_json())
    assert stored["training"]["epochs"] == 5
    assert stored["training"]["batch_size"] == 4
    assert stored["training"]["eval_batch_size"] == 256
    assert stored["training"]["optimizer"]["name"] == "sgd"
    assert stored["training"]["optimizer"]["lr"] == 0.5
    assert stored["training"]["scheduler"] == {"name": "cosine", "warmup_epochs": 0}
    assert stored["loss"]["lambda"] == 1.0
    assert stored["loss"]["drw"] == {"start_epoch": 2, "beta": 0.9999}
    assert stored["name"] == "mine"


# Components whose own code, or whose form, is wrong.


class Nested(BaseModel):
    depth: int = 1


class Odd(ltcore.Loss):
    """A loss that does what its parameters say."""

    name: ClassVar[str] = "odd"
    raises: bool = False
    even: int = 2
    nested: Nested = Nested()

    @field_validator("raises")
    @classmethod
    def _raise(cls, value: bool) -> bool:
        if value:
            raise KeyError("lost")
        return value

    @field_validator("even")
    @classmethod
    def _must_be_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError(f"must be even, is {value}")
        return value

    def build(self, classes):
        raise NotImplementedError


class OddData(ltcore.Dataset):
    """A data set that cannot say whether validation is test."""

    name: ClassVar[str] = "odd_data"

    @property
    def val_is_test(self) -> bool:
        raise RuntimeError("who knows")

    def build(self, seeds):
        raise NotImplementedError


class OddNet(ltcore.Backbone):
    """A backbone of no size."""

    name: ClassVar[str] = "odd_net"
    input_size: ClassVar[str] = "big"  # type: ignore[assignment]

    def build(self, num_classes, head):
        raise NotImplementedError


class Oddities:
    @ltcore.hookimpl
    def ltcore_register_losses(self):
        return [Odd]

    @ltcore.hookimpl
    def ltcore_register_datasets(self):
        return [OddData]

    @ltcore.hookimpl
    def ltcore_register_backbones(self):
        return [OddNet]


@pytest.fixture
def odd(install, toys, toy_spec):
    """The error that a spec of odd components gives."""

    def odd(**fields) -> LtcoreError:
        with pytest.raises(LtcoreError) as caught:
            resolve({**toy_spec, **fields}, load_plugins(toys, Oddities()))
        return caught.value

    return odd


def test_a_validator_of_a_plugin_speaks_for_itself(odd):
    assert str(odd(loss={"name": "odd", "even": 3})) == "loss.even: must be even, is 3"


def test_an_unknown_key_in_a_plugin_s_careless_model_is_refused(odd):
    assert str(odd(loss={"name": "odd", "nested": {"dpeth": 2}})) == (
        "loss.nested.dpeth: unknown field. Did you mean 'depth'? Known here: depth"
    )


def test_a_plugin_that_raises_while_it_is_checked_is_named(odd):
    assert str(odd(loss={"name": "odd", "raises": True})) == (
        "loss.name: the loss 'odd' of Oddities raised KeyError: 'lost' "
        "when its parameters were checked"
    )
    assert str(odd(dataset="odd_data")) == (
        "the dataset 'odd_data' of Oddities raised RuntimeError: who knows "
        "when its parameters were checked"
    )


def test_a_backbone_without_a_sensible_size_is_named(odd):
    error = odd(backbone="odd_net")
    assert isinstance(error, ltcore.PluginError)
    assert str(error) == (
        "the backbone 'odd_net' of Oddities says that its input_size is 'big'; "
        "it must be a whole number from 1 to 4096"
    )


@pytest.mark.parametrize("document", ["toy_loss", {"name": "toy_loss", "lambda": 1}])
def test_resolve_component_takes_a_name_or_an_object(catalogue, document):
    found = resolve_component(document, "loss", catalogue)
    assert found.name == "toy_loss"


def test_resolve_component_takes_a_reference_of_a_spec(resolved, catalogue):
    found = resolved(loss={"name": "toy_loss", "margins": [1, 2]})
    assert resolve_component(found.spec.loss, "loss", catalogue) == found.loss


def test_resolve_component_tells_what_is_wrong(catalogue):
    with pytest.raises(ltcore.SpecError) as caught:
        resolve_component({"name": "toy_loss", "lambda": -1, "x": 1}, "loss", catalogue)
    assert str(caught.value).splitlines() == [
        "loss.lambda: must be at least 0, is -1",
        "loss.x: unknown field. Known here: drw, lambda, margins",
    ]
    with pytest.raises(ltcore.SpecError, match="^loss: give a name, or an object with a 'name'$"):
        resolve_component({"lambda": 1}, "loss", catalogue)
    with pytest.raises(ltcore.PluginError, match="no loss is called 'toy_data'"):
        resolve_component("toy_data", "loss", catalogue)


PARAMETERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "lambda", "drw", "start_epoch", "margins", "root", "width"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(st.sampled_from(["dataset", "backbone", "loss", "seed"]), PARAMETERS))
def test_random_components_resolve_or_are_refused(catalogue, toy_spec, fields):
    try:
        found = resolve({**toy_spec, **fields}, catalogue)
    except ltcore.SpecError as error:
        assert error.mistakes  # noqa: PT017 - one belief of two ends
        return
    assert resolve(found.spec, catalogue) == found
