"""What the losses declare: names, parameters, defaults and ranges, without torch."""

from __future__ import annotations

import subprocess
import sys

import pluggy
import pydantic
import pytest

import ltcore
import ltcore_losses
from ltcore import hookspecs

DEFAULTS = {
    "cross_entropy": {},
    "weighted_cross_entropy": {"reduction": "weighted_mean"},
    "focal": {"gamma": 2.0},
    "class_balanced": {"beta": 0.9999, "reduction": "weighted_mean"},
    "balanced_softmax": {},
    "equalization": {"lambda": 0.005, "gamma": 0.9},
    "ldam": {"max_margin": 0.5, "scale": 30.0},
}

UNIFORM = {"weighted_cross_entropy", "class_balanced", "balanced_softmax"}


def test_hook_offers_the_seven_losses_to_a_plugin_manager():
    manager = pluggy.PluginManager("ltcore")
    manager.add_hookspecs(hookspecs)
    manager.register(ltcore_losses)
    manager.check_pending()
    [losses] = manager.hook.ltcore_register_losses()
    assert [loss.name for loss in losses] == list(DEFAULTS)


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_of_the_design(declare, name):
    assert declare(name).model_dump() == {"drw": None, **DEFAULTS[name]}


@pytest.mark.parametrize("name", DEFAULTS)
def test_head_is_cosine_for_ldam_alone(declare, name):
    assert declare(name).head == ("cosine" if name == "ldam" else "linear")


@pytest.mark.parametrize("name", DEFAULTS)
def test_trained_prior_is_uniform_for_the_losses_that_make_up_for_it(declare, name):
    assert declare(name).trained_prior == ("uniform" if name in UNIFORM else "train")


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_parameter_and_loss_is_described(declare, name):
    schema = type(declare(name)).model_json_schema()
    assert schema["description"]
    assert all("description" in field for field in schema["properties"].values())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("cross_entropy", {"gamma": 1.0}),
        ("weighted_cross_entropy", {"reduction": "sum"}),
        ("focal", {"gamma": -0.1}),
        ("focal", {"gamma": float("inf")}),
        ("focal", {"gamma": "2"}),
        ("class_balanced", {"beta": 1.0}),
        ("class_balanced", {"beta": -0.1}),
        ("class_balanced", {"reduction": "none"}),
        ("equalization", {"lambda": -0.001}),
        ("equalization", {"lambda": 1.1}),
        ("equalization", {"gamma": 1.1}),
        ("equalization", {"gamma": -0.1}),
        ("equalization", {"lambda_": 0.005}),
        ("ldam", {"max_margin": -0.1}),
        ("ldam", {"scale": 0.0}),
    ],
)
def test_parameter_out_of_range_is_refused_by_name(declare, name, parameters):
    [parameter] = parameters
    with pytest.raises(pydantic.ValidationError) as caught:
        declare(name, **parameters)
    assert [error["loc"] for error in caught.value.errors()] == [(parameter,)]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("focal", {"gamma": 0}),
        ("class_balanced", {"beta": 0}),
        ("equalization", {"lambda": 0, "gamma": 0}),
        ("equalization", {"lambda": 1, "gamma": 1}),
        ("ldam", {"max_margin": 0}),
    ],
)
def test_parameter_at_the_end_of_its_range_is_taken(declare, name, parameters):
    assert declare(name, **parameters).model_dump().items() >= parameters.items()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("weighted_cross_entropy", "weighted cross-entropy"),
        ("class_balanced", "class-balanced weighting"),
        ("balanced_softmax", "balanced softmax"),
        ("ldam", "LDAM"),
    ],
)
def test_class_without_images_is_refused_by_name(build, name, said):
    with pytest.raises(ltcore.SpecError, match=rf"{said} needs .* 1 of 3 classes .*: class 1\."):
        build(name, [5, 0, 2])


def test_declaring_imports_no_torch():
    program = """
import sys
import ltcore_losses
for loss in ltcore_losses.ltcore_register_losses():
    loss().model_dump()
    loss.model_json_schema()
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
