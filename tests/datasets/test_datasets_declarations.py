"""What the data sets declare: names, parameters, defaults and ranges, without torch."""

from __future__ import annotations

import subprocess
import sys

import pluggy
import pydantic
import pytest

import ltcore
import ltcore_datasets
from ltcore import hookspecs
from ltcore_datasets import Cifar10, Cifar10LT, Cifar100, Cifar100LT, ImageFolder, Synthetic

CIFAR = {
    "root": "data",
    "download": False,
    "holdout_per_class": 50,
    "per_class": None,
    "class_order": "label",
    "test_imbalance_factor": 0.01,
}
LONG_TAILED = {
    "imbalance_factor": 0.01,
    "test_imbalance_factor": None,
    "profile": "exponential",
    "subset": "seeded",
}
DEFAULTS = {
    "cifar100": CIFAR,
    "cifar100_lt": {**CIFAR, **LONG_TAILED},
    "cifar10": {**CIFAR, "holdout_per_class": 500},
    "cifar10_lt": {**CIFAR, **LONG_TAILED, "holdout_per_class": 500},
    "image_folder": {
        "root": "images",
        "train": None,
        "val": None,
        "test": None,
        "holdout": 0.1,
        "imbalance_factor": None,
        "test_imbalance_factor": None,
        "profile": "exponential",
        "per_class": None,
        "class_order": "count",
    },
    "synthetic": {
        "classes": 10,
        "per_class": 200,
        "imbalance_factor": 0.02,
        "test_imbalance_factor": None,
        "val_per_class": 20,
        "test_per_class": 50,
        "size": 32,
        "noise": 0.9,
    },
}
BY_NAME = {dataset.name: dataset for dataset in ltcore_datasets.ltcore_register_datasets()}


def test_hook_offers_the_six_datasets_to_a_plugin_manager():
    manager = pluggy.PluginManager("ltcore")
    manager.add_hookspecs(hookspecs)
    manager.register(ltcore_datasets)
    manager.check_pending()
    [datasets] = manager.hook.ltcore_register_datasets()
    assert [dataset.name for dataset in datasets] == list(DEFAULTS)


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_of_the_design(name):
    parameters = {"root": "images"} if name == "image_folder" else {}
    assert BY_NAME[name](**parameters).model_dump() == DEFAULTS[name]


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_parameter_and_dataset_is_described(name):
    schema = BY_NAME[name].model_json_schema()
    assert schema["description"]
    assert all("description" in field for field in schema["properties"].values())


@pytest.mark.parametrize("name", DEFAULTS)
def test_only_where_cifar_lies_does_not_affect_the_outcome(name):
    properties = BY_NAME[name].model_json_schema()["properties"]
    idle = {key for key, field in properties.items() if field.get("affects_outcome") is False}
    assert idle == ({"root", "download"} if name.startswith("cifar") else set())


@pytest.mark.parametrize("dataset", [Cifar10, Cifar10LT, Cifar100, Cifar100LT])
def test_val_is_test_where_cifar_holds_nothing_out(dataset):
    assert not dataset().val_is_test
    assert dataset(holdout_per_class=0).val_is_test


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ({}, False),
        ({"val": "a", "test": "b"}, False),
        ({"val": "a", "test": "a"}, True),
        ({"val": "a", "test": "a/"}, True),
        ({"val": "test"}, True),
        ({"test": "val"}, True),
        ({"val": "val"}, False),
    ],
)
def test_val_is_test_where_image_folder_names_one_set_twice(places, expected):
    assert ImageFolder(root="images", **places).val_is_test is expected


@pytest.mark.parametrize(
    ("dataset", "parameters", "message"),
    [
        (Cifar100, {"holdout_per_class": 500}, "500 leaves nothing to train on: CIFAR-100 has 500"),
        (Cifar10LT, {"holdout_per_class": 5000}, "5000 leaves nothing to train on: CIFAR-10 has"),
        (Cifar100LT, {"per_class": 451}, "451 is more than the 450 training images of each class"),
        (Cifar100LT, {"subset": "cao"}, "set holdout_per_class to 0"),
        (Cifar100LT, {"imbalance_factor": 0.0}, "greater than 0"),
        (Cifar100LT, {"imbalance_factor": 1.5}, "less than or equal to 1"),
        (Cifar100, {"imbalance_factor": 0.01}, "Extra inputs are not permitted"),
        (Cifar100, {"class_order": "count"}, "'label'"),
        (Synthetic, {"per_class": 1001}, "less than or equal to 1000"),
        (ImageFolder, {"root": "x", "train": "../y"}, "'../y' does not lie below root"),
        (ImageFolder, {"root": "x", "test": "/y"}, "'/y' does not lie below root"),
        (ImageFolder, {"root": "x", "holdout": 1.0}, "less than 1"),
        (ImageFolder, {}, "Field required"),
    ],
)
def test_wrong_parameters_are_refused_with_the_reason(dataset, parameters, message):
    with pytest.raises(pydantic.ValidationError) as error:
        dataset(**parameters)
    assert message in str(error.value)


def test_a_spec_is_told_which_field_a_contradiction_is_in():
    dataset = {"name": "cifar100_lt", "subset": "cao"}
    with pytest.raises(ltcore.SpecError) as error:
        ltcore.load_dataset(dataset)
    assert "dataset.subset: 'cao' draws from the whole official training set" in str(error.value)


def test_declaring_imports_neither_torch_nor_pillow():
    heavy = ("torch", "torchvision", "PIL")
    code = f"import sys, ltcore_datasets; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "dataset",
    [
        Synthetic(classes=4, per_class=20, val_per_class=2, test_per_class=6, size=8),
        Synthetic(classes=3, per_class=9, imbalance_factor=1.0, val_per_class=1, size=8),
    ],
)
def test_synthetic_keeps_ltcores_rules(dataset):
    assert ltcore.testing.check_dataset(dataset)
