"""The core's fields: shorthand, strictness, defaults, names; what is stored is what was read."""

from __future__ import annotations

import contextlib
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import ltcore
from ltcore.errors import Mistake
from ltcore.resolution import parse_spec
from ltcore.spec import Adam, AdamW, Cosine, MultiStep, NormalizationValues, RunSpec, Step, Training

NAMES = {"dataset": "toy_data", "backbone": "toy_net", "loss": "toy_loss"}
PYDANTICS_WORDS = re.compile(
    r"Input|Extra|Field|Value|valid |instance|tuple|dict\b|tag\b|union|parse|literal|integer|"
    r"boolean|\bstr\b|\bint\b|\bNone\b|True|False|<|Ref\b|Adam"
)


def refused(**fields) -> list[str]:
    with pytest.raises(ltcore.SpecError) as caught:
        parse_spec({**NAMES, **fields}, "spec.json")
    return str(caught.value).splitlines()


def test_spec_of_three_names_is_complete():
    spec = parse_spec(NAMES)
    assert (spec.seed, spec.name, spec.training.epochs, spec.transform.size) == (42, None, 90, None)
    assert spec.training.optimizer == Adam()
    assert spec.training.scheduler == Step()


def test_spec_defaults_are_the_study_s():
    stored = json.loads(parse_spec(NAMES).to_json())
    assert stored["transform"] == {
        "size": None,
        "crop_padding": 4,
        "horizontal_flip": 0.5,
        "normalize": "study",
    }
    assert stored["training"] == {
        "epochs": 90,
        "batch_size": 128,
        "eval_batch_size": 256,
        "optimizer": {"name": "adam", "lr": 0.001, "weight_decay": 0.0},
        "scheduler": {"name": "step", "step_size": 30, "gamma": 0.1, "warmup_epochs": 0},
        "device": "auto",
        "precision": "fp32",
        "compile": False,
        "cuda_graphs": False,
        "deterministic": False,
        "sync_batch_norm": False,
        "select": None,
        "keep_last": False,
        "image_gb": None,
        "checkpoint_minutes": 10.0,
        "timeout_seconds": 600.0,
    }
    assert stored["seeds"] == {"data": None, "init": None, "order": None, "split": 42}


def test_a_name_stands_for_an_object_with_it():
    short = parse_spec(NAMES)
    assert short == parse_spec({field: {"name": name} for field, name in NAMES.items()})
    assert short.loss.name == "toy_loss"
    assert short.loss.parameters == {}


def test_the_other_keys_of_a_component_are_its_parameters():
    loss = {"name": "toy_loss", "lambda": 1, "deep": {"list": [1, None]}, "parameters": 2}
    assert parse_spec({**NAMES, "loss": loss}).loss.parameters == {
        "lambda": 1,
        "deep": {"list": [1, None]},
        "parameters": 2,
    }


def test_an_optimizer_and_a_scheduler_may_be_names():
    training = parse_spec({**NAMES, "training": {"optimizer": "adamw", "scheduler": "cosine"}})
    assert training.training.optimizer == AdamW(name="adamw")
    assert training.training.scheduler == Cosine(name="cosine")


def test_an_optimizer_without_a_name_is_the_default_one():
    training = {"optimizer": {"lr": 0.5}, "scheduler": {"gamma": 0.5}}
    parsed = parse_spec({**NAMES, "training": training}).training
    assert parsed.optimizer == Adam(lr=0.5)
    assert parsed.scheduler == Step(gamma=0.5)


def test_lists_are_taken_for_milestones_and_statistics():
    spec = parse_spec(
        {
            **NAMES,
            "training": {"scheduler": {"name": "multistep", "milestones": [160, 180]}},
            "transform": {"normalize": {"mean": [0.5, 0.5, 0], "std": [1, 1, 1]}},
        }
    )
    assert isinstance(spec.training.scheduler, MultiStep)
    assert spec.training.scheduler.milestones == (160, 180)
    assert isinstance(spec.transform.normalize, NormalizationValues)
    assert spec.transform.normalize.mean == (0.5, 0.5, 0.0)


def test_a_whole_number_is_a_number():
    optimizer = parse_spec({**NAMES, "training": {"optimizer": {"lr": 1}}}).training.optimizer
    assert optimizer.lr == 1.0
    assert isinstance(optimizer.lr, float)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"seed": "1"}, 'seed: must be a whole number, is "1"'),
        ({"seed": 1.0}, "seed: must be a whole number, is 1.0"),
        ({"seed": True}, "seed: must be a whole number, is true"),
        ({"seed": -1}, "seed: must be at least 0, is -1"),
        ({"seed": 2**63}, f"seed: must be a signed number of at most 64 bits, is {2**63}"),
        ({"seed": float("nan")}, "seed: must be a finite number, is NaN"),
        ({"training": {"compile": 1}}, "training.compile: must be true or false, is 1"),
        ({"training": {"epochs": 0}}, "training.epochs: must be at least 1, is 0"),
        ({"training": 5}, "training: must be an object, is 5"),
        ({"training": None}, "training: must be an object, is null"),
        (
            {"training": {"device": "gpu"}},
            'training.device: "gpu" is not allowed. Allowed: auto, cpu, cuda, cuda:N or mps',
        ),
        (
            {"training": {"device": "cuda:\u0663"}},
            (
                'training.device: "cuda:\u0663" is not allowed. '
                "Allowed: auto, cpu, cuda, cuda:N or mps"
            ),
        ),
        (
            {"training": {"precision": "fp64"}},
            (
                "training.precision: must be 'fp32', 'bf16' or 'fp16', is \"fp64\". "
                "Did you mean 'fp16'?"
            ),
        ),
        (
            {"training": {"optimizer": "sdg"}},
            (
                "training.optimizer.name: must be one of 'adam', 'adamw', 'sgd', is \"sdg\". "
                "Did you mean 'sgd'?"
            ),
        ),
        (
            {"training": {"optimizer": {"name": 5}}},
            "training.optimizer.name: must be one of 'adam', 'adamw', 'sgd', is 5",
        ),
        (
            {"training": {"optimizer": 5}},
            "training.optimizer: must be a name, or an object with a 'name', is 5",
        ),
        (
            {"training": {"scheduler": "multistep"}},
            "training.scheduler.milestones: required, and missing",
        ),
        (
            {"training": {"optimizer": {"name": "sgd", "momentum": 0, "nesterov": True}}},
            "training.optimizer: nesterov needs a momentum above 0",
        ),
        (
            {"training": {"optimizer": {"name": "adam", "momentum": 0.9}}},
            "training.optimizer.momentum: unknown field. Known here: name, lr, weight_decay",
        ),
        (
            {"transform": {"normalize": 5}},
            "transform.normalize: must be 'study', 'cifar100', 'imagenet' or 'backbone', is 5",
        ),
        (
            {"transform": {"normalize": {"mean": [0, 0, 0], "std": [1, 1, 0]}}},
            "transform.normalize.std.2: must be above 0, is 0",
        ),
        ({"loss": None}, "loss: must be a name, or an object with a 'name', is null"),
        ({"loss": ["focal"]}, "loss: must be a name, or an object with a 'name', is [\"focal\"]"),
        ({"loss": {"gamma": 1}}, "loss.name: required, and missing"),
        ({"loss": {"name": 5}}, "loss.name: must be a string, is 5"),
        ({"loss": ""}, 'loss: must be a string of 1 or more characters, is ""'),
        ({"seeds": {"split": None}}, "seeds.split: must be a whole number, is null"),
        (
            {"seeds": {"dta": 1}},
            "seeds.dta: unknown field. Did you mean 'data'? Known here: data, init, order, split",
        ),
        (
            {"epochs": 3},
            (
                "epochs: unknown field. Did you mean 'training.epochs'? Known here: $schema, name, "
                "seed, seeds, dataset, transform, backbone, loss, training"
            ),
        ),
        (
            {"training": {"lr": 1, "sedd": 1}},
            (
                "training.lr: unknown field. Did you mean 'training.optimizer.lr'? Known here: "
                "epochs, batch_size, eval_batch_size, optimizer, scheduler, device, precision, "
                "compile, cuda_graphs, deterministic, sync_batch_norm, select, keep_last, "
                "image_gb, checkpoint_minutes, timeout_seconds"
            ),
        ),
        (
            {"schema_url": "x"},
            (
                "schema_url: unknown field. Did you mean '$schema'? Known here: $schema, name, "
                "seed, seeds, dataset, transform, backbone, loss, training"
            ),
        ),
    ],
)
def test_spec_refuses_with_the_field_and_what_is_expected(fields, expected):
    assert refused(**fields)[0] == f"spec.json: {expected}"


def test_spec_tells_all_mistakes_at_once_in_the_order_of_its_fields():
    with pytest.raises(ltcore.SpecError) as caught:
        parse_spec({"training": {"epochs": 0, "sed": 1}, "seed": "1", "loss": 5, "zzz": 1})
    assert [mistake.field for mistake in caught.value.mistakes] == [
        "seed",
        "dataset",
        "backbone",
        "loss",
        "training.epochs",
        "training.sed",
        "zzz",
    ]


@pytest.mark.parametrize(
    "name", ["a", "A-b_c.d+e=f", "0", "_x", "x" * 200, "cifar100_lt-resnet50-focal-s42"]
)
def test_a_run_may_be_called(name):
    assert parse_spec({**NAMES, "name": name}).name == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", "a\0b", "a b", "a\n", "-x", "=x", "x" * 201, "é", "a:b"],
)
def test_a_name_cannot_be_a_path(name):
    (line,) = refused(name=name)
    assert line.startswith("spec.json: name: ")
    assert line.endswith(
        " is not allowed. Allowed: Letters, digits and _ . + = -, at most 200, "
        "not starting with . + = or -"
    )


def test_schema_address_is_allowed_and_not_stored():
    spec = parse_spec({**NAMES, "$schema": "https://example.org/spec.schema.json"})
    assert "schema" not in spec.to_json()


def test_stored_json_is_the_spec():
    spec = parse_spec(
        {
            **NAMES,
            "name": "mine",
            "seed": 7,
            "seeds": {"data": 1},
            "loss": {"name": "x:toy_loss", "a": [1, {"b": None}], "c": 0.1},
            "transform": {"normalize": {"mean": [0, 0, 0], "std": [1, 1, 1]}},
            "training": {
                "optimizer": {"name": "sgd", "nesterov": True},
                "scheduler": {"name": "multistep", "milestones": [1, 2]},
            },
        }
    )
    assert parse_spec(json.loads(spec.to_json())) == spec
    assert RunSpec.model_validate_json(spec.to_json()) == spec
    assert json.loads(spec.to_json(indent=2)) == json.loads(spec.to_json())


def test_spec_from_keywords_is_that_of_its_json():
    fields = {**NAMES, "training": {"scheduler": {"name": "multistep", "milestones": [1, 2]}}}
    assert ltcore.RunSpec(**fields) == parse_spec(fields)
    training = Training(epochs=3, optimizer=AdamW(name="adamw"))
    assert ltcore.RunSpec(**NAMES, training=training) == parse_spec(
        {**NAMES, "training": {"epochs": 3, "optimizer": "adamw"}}
    )


def test_spec_is_frozen():
    spec = parse_spec(NAMES)
    with pytest.raises(ValidationError, match="frozen"):
        spec.seed = 1
    with pytest.raises(ValidationError, match="frozen"):
        spec.training.epochs = 1


def test_seeds_follow_the_seed_but_for_the_split():
    seeds = parse_spec({**NAMES, "seed": 7, "seeds": {"init": 3}}).resolved_seeds()
    assert (seeds.data, seeds.init, seeds.order, seeds.split) == (7, 3, 7, 42)


def test_load_spec_reads_a_file(tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({**NAMES, "training": {"optimizer": "sgd"}}))
    assert ltcore.load_spec(path) == parse_spec({**NAMES, "training": {"optimizer": "sgd"}})


def test_load_spec_is_as_strict_as_a_run(tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({**NAMES, "seed": "1", "training": {"epochs": 1.0, "compile": 1}}))
    with pytest.raises(ltcore.SpecError) as caught:
        ltcore.load_spec(path)
    assert str(caught.value).splitlines() == [
        f'{path}: seed: must be a whole number, is "1"',
        f"{path}: training.epochs: must be a whole number, is 1.0",
        f"{path}: training.compile: must be true or false, is 1",
    ]


# Wrong in one place each: every field of the core with values of every type.
WRONG_VALUES = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        1,
        1.5,
        2**63,
        10**400,
        float("inf"),
        "",
        "x",
        "\x1b",
        [],
        [1],
        {},
        {"a": 1},
    ]
)
PLACES = [
    ["name"],
    ["seed"],
    ["seeds"],
    ["seeds", "split"],
    ["loss"],
    ["loss", "name"],
    ["transform"],
    *(["transform", key] for key in ("size", "crop_padding", "horizontal_flip", "normalize")),
    *(["transform", "normalize", key] for key in ("mean", "std", "x")),
    ["training"],
    *(["training", key] for key in Training.model_fields),
    *(["training", "optimizer", key] for key in ("name", "lr", "nesterov", "x")),
    *(["training", "scheduler", key] for key in ("name", "gamma", "milestones", "x")),
    ["$schema"],
    ["x"],
]


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from(range(len(PLACES))), WRONG_VALUES, min_size=1, max_size=3))
def test_whatever_is_wrong_is_told_without_pydantic_s_words(wrong):
    document = dict(NAMES)
    for place, value in wrong.items():
        *parents, last = PLACES[place]
        node = document
        for key in parents:
            node[key] = dict(node[key]) if isinstance(node.get(key), dict) else {}
            node = node[key]
        node[last] = value
    for mistake in mistakes_of(document):
        assert not PYDANTICS_WORDS.search(mistake.message), mistake
        assert mistake.message.isprintable()


def mistakes_of(document) -> tuple[Mistake, ...]:
    try:
        spec = parse_spec(document)
    except ltcore.SpecError as error:
        return error.mistakes
    stored = json.loads(spec.to_json())
    assert json.loads(parse_spec(stored).to_json()) == stored
    return ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*RunSpec.model_fields, *Training.model_fields, "name", "", "x.y"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(JSON)
def test_random_json_is_a_spec_or_a_spec_error(tmp_path, value):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(value))
    with contextlib.suppress(ltcore.SpecError):
        assert isinstance(ltcore.load_spec(path), ltcore.RunSpec)
