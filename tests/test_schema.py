"""The JSON Schema says of a spec what a run says of it."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import jsonschema
import pytest

import ltcore
from ltcore.components import Declaration
from ltcore.plugins import load_plugins
from ltcore.resolution import resolve
from ltcore.schema import spec_schema


@pytest.fixture
def validator(catalogue):
    schema = spec_schema(catalogue)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(json.loads(json.dumps(schema)))


ACCEPTED = [
    {},
    {"$schema": "spec.schema.json", "name": "mine", "seed": 0},
    {"loss": {"name": "toy_loss"}},
    {"loss": "Toys:toy_loss"},
    {"loss": {"name": "Toys:toy_loss", "lambda": 1, "margins": [1, 2.5]}},
    {"loss": {"name": "toy_loss", "drw": {"start_epoch": 3}}},
    {"dataset": {"name": "toy_data", "factor": 1}},
    {"transform": {"size": None, "normalize": "backbone"}},
    {"transform": {"normalize": {"mean": [0, 0, 0], "std": [1, 1, 1]}}},
    {"training": {"optimizer": "sgd", "scheduler": "cosine"}},
    {"training": {"optimizer": {"lr": 0.1}, "scheduler": {"gamma": 0.5}}},
    {"training": {"optimizer": {"name": "sgd", "nesterov": True}}},
    {"training": {"scheduler": {"name": "multistep", "milestones": [160, 180]}}},
    {"training": {"select": "last", "device": "cuda:1"}},
    {"seeds": {"data": None, "split": 1}},
]

REFUSED = [
    {"epochs": 3},
    {"loss": "toy_los"},
    {"loss": {"name": "toy_los"}},
    {"loss": {"lambda": 1}},
    {"loss": {"name": "toy_loss", "lambda_": 1}},
    {"loss": {"name": "toy_loss", "lambda": -1}},
    {"loss": {"name": "toy_loss", "lambda": "1"}},
    {"loss": {"name": "toy_loss", "drw": {}}},
    {"loss": None},
    {"dataset": "toy_net"},
    {"dataset": {"name": "toy_data", "factor": 2}},
    {"backbone": {"name": "toy_net", "width": 0}},
    {"transform": {"normalize": "studdy"}},
    {"transform": {"normalize": {"mean": [0, 0], "std": [1, 1, 1]}}},
    {"training": {"optimizer": "sdg"}},
    {"training": {"optimizer": {"name": "adam", "momentum": 0.9}}},
    {"training": {"scheduler": "multistep"}},
    {"training": {"scheduler": {"name": "multistep", "milestones": []}}},
    {"training": {"device": "gpu"}},
    {"training": None},
    {"seed": -1},
    {"seed": "1"},
    {"seed": True},
    {"name": "../x"},
]


@pytest.mark.parametrize("fields", ACCEPTED, ids=json.dumps)
def test_schema_accepts_what_a_run_accepts(validator, catalogue, toy_spec, fields):
    document = {**toy_spec, **fields}
    resolve(document, catalogue)
    validator.validate(document)


@pytest.mark.parametrize("fields", REFUSED, ids=json.dumps)
def test_schema_refuses_what_a_run_refuses(validator, catalogue, toy_spec, fields):
    document = {**toy_spec, **fields}
    with pytest.raises(ltcore.SpecError):
        resolve(document, catalogue)
    assert not validator.is_valid(document)


def test_schema_accepts_a_resolved_spec(validator, catalogue, toy_spec):
    validator.validate(json.loads(resolve(toy_spec, catalogue).spec.to_json()))


@pytest.mark.parametrize("missing", ["dataset", "backbone", "loss"])
def test_schema_wants_all_three_components(validator, toy_spec, missing):
    del toy_spec[missing]
    assert not validator.is_valid(toy_spec)


def test_schema_has_every_installed_component_and_its_text():
    catalogue = load_plugins()
    schema = spec_schema(catalogue)
    titles = {definition.get("title"): definition for definition in schema["$defs"].values()}
    offers = [offer for offer in catalogue.offers if offer.kind != "reporter"]
    assert {"cifar100_lt", "resnet50", "balanced_softmax"} <= {offer.name for offer in offers}
    for offer in offers:
        assert titles[offer.name]["properties"]["name"]["enum"] == [offer.name, offer.full_name]
        assert titles[offer.name]["description"]


def make_loss(component: str, default: int, *, required: bool = False) -> type[ltcore.Loss]:
    """A loss whose class, and that of a model in it, are called as every other's."""

    class Options(Declaration):
        depth: int = default

    class Same(ltcore.Loss):
        """A loss."""

        name: ClassVar[str] = component
        options: Options = Options()

        def build(self, classes: ltcore.Classes) -> Any:
            raise NotImplementedError

    class Demanding(Same):
        needed: int

    return Demanding if required else Same


class Losses:
    def __init__(self, *losses: type[ltcore.Loss]) -> None:
        self.losses = list(losses)

    @ltcore.hookimpl
    def ltcore_register_losses(self):
        return self.losses


def test_components_of_one_class_name_do_not_clash(install, toys, toy_spec):
    schema = spec_schema(load_plugins(toys, Losses(make_loss("one", 1), make_loss("two", 2))))
    validator = jsonschema.Draft202012Validator(schema)
    for name in ("one", "two"):
        validator.validate({**toy_spec, "loss": {"name": name, "options": {"depth": 3}}})
        assert not validator.is_valid({**toy_spec, "loss": {"name": name, "x": 1}})


def test_a_component_with_a_required_parameter_is_no_mere_name(install, toys, toy_spec):
    catalogue = load_plugins(toys, Losses(make_loss("one", 1, required=True)))
    validator = jsonschema.Draft202012Validator(spec_schema(catalogue))
    assert not validator.is_valid({**toy_spec, "loss": "one"})
    assert not validator.is_valid({**toy_spec, "loss": {"name": "one"}})
    validator.validate({**toy_spec, "loss": {"name": "one", "needed": 1}})


def test_a_name_of_two_distributions_needs_its_distribution(install, toys, toy_spec):
    class Others(Losses):
        pass

    catalogue = load_plugins(toys, Losses(make_loss("one", 1)), Others(make_loss("one", 2)))
    validator = jsonschema.Draft202012Validator(spec_schema(catalogue))
    for loss in ("Losses:one", {"name": "Others:one"}):
        document = {**toy_spec, "loss": loss}
        resolve(document, catalogue)
        validator.validate(document)
    for loss in ("one", {"name": "one"}):
        assert not validator.is_valid({**toy_spec, "loss": loss})


def test_schema_without_plugins_accepts_nothing(install, toy_spec):
    schema = spec_schema(load_plugins())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert not jsonschema.Draft202012Validator(schema).is_valid(toy_spec)
