"""Reading JSON strictly, and `--set`."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ltcore
from ltcore.documents import parse_json, plain_json, read_document, with_overrides
from ltcore.errors import Mistake

within_a_test = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150
)


@pytest.fixture
def read(tmp_path):
    """The document that a file's content gives."""

    def read(content: str | bytes) -> dict:
        path = tmp_path / "spec.json"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_document(path)

    return read


def message(call, *arguments) -> str:
    with pytest.raises(ltcore.SpecError) as caught:
        call(*arguments)
    return str(caught.value)


def test_read_document_gives_the_object(read):
    assert read('{"seed": 1, "loss": {"gamma": 0.5}}') == {"seed": 1, "loss": {"gamma": 0.5}}


def test_read_document_takes_a_byte_order_mark(read):
    assert read(b'\xef\xbb\xbf{"seed": 1}') == {"seed": 1}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "line 1, column 1: not JSON: Expecting value"),
        ('{"seed": 1,\n "loss" "focal"}', "line 2, column 9: not JSON: Expecting ':' delimiter"),
        ('{"seed": 1} 2', "line 1, column 13: not JSON: Extra data"),
        (b'{"a": "\xff"}', "not UTF-8 text (byte 7)"),
        ("{}".encode("utf-16"), "not UTF-8 text (byte 0)"),
        ("[1]", "must be a JSON object, is a list"),
        ("null", "must be a JSON object, is null"),
        ('"x"', "must be a JSON object, is a string"),
        ("1.5", "must be a JSON object, is a number"),
        ("true", "must be a JSON object, is true or false"),
        ('{"a": NaN}', "a: must be a finite number, is NaN"),
        ('{"a": [1, -Infinity]}', "a.1: must be a finite number, is -Infinity"),
        ('{"a": {"b": 1e999}}', "a.b: must be a finite number, is Infinity"),
        (
            '{"a": 9223372036854775808}',
            "a: must be a signed number of at most 64 bits, is 9223372036854775808",
        ),
        (
            '{"a": -' + "9" * 10_000 + "}",
            "a: must be a signed number of at most 64 bits, is -" + "9" * 59 + "...",
        ),
        ('{"a": "\\ud800"}', 'a: must be a string of whole characters, is "\\ud800"'),
        ('{"\\ud800": 1}', "the key '\\ud800' must be text"),
        ('{"a":' * 60 + "1" + "}" * 60, "a: lists and objects are nested more than 50 deep"),
        ("[" * 100_000, "lists and objects are nested more than 50 deep"),
    ],
)
def test_read_document_refuses_what_is_no_json_object(read, tmp_path, content, expected):
    assert message(read, content) == f"{tmp_path / 'spec.json'}: {expected}"


def test_read_document_names_each_key_that_appears_twice(read, tmp_path):
    text = '{"seed": 1, "loss": {"gamma": 1, "gamma": 1}, "seed": 2, "a": [{"b": 1, "b": 2}]}'
    source = tmp_path / "spec.json"
    assert message(read, text).splitlines() == [
        f"{source}: {field}: this key appears twice; remove one"
        for field in ("loss.gamma", "seed", "a.0.b")
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("nowhere.json", "nowhere.json: no such file"),
        (".", ".: cannot be read: Is a directory"),
        ("a\0b", "a\\x00b: cannot be read: embedded null byte"),
    ],
)
def test_read_document_names_a_file_that_it_cannot_read(tmp_path, monkeypatch, path, expected):
    monkeypatch.chdir(tmp_path)
    assert message(read_document, path) == expected


@within_a_test
@given(st.binary(max_size=200))
def test_read_document_of_random_bytes_gives_an_object_or_a_spec_error(read, content):
    with contextlib.suppress(ltcore.SpecError):
        assert isinstance(read(content), dict)


def test_parse_json_leaves_what_is_no_json_to_its_caller():
    with pytest.raises(json.JSONDecodeError):
        parse_json("focal")


def test_plain_json_makes_python_values_what_json_holds():
    document = {"a": (1, [2.5, None]), "b": Path("x") / "y", "c": np.int64(3), "d": np.float32(0.5)}
    plain = plain_json(document)
    assert plain == {"a": [1, [2.5, None]], "b": str(Path("x") / "y"), "c": 3, "d": 0.5}
    assert [type(plain[key]) for key in "cd"] == [int, float]
    json.dumps(plain)


def test_plain_json_tells_everything_that_json_cannot_hold():
    with pytest.raises(ltcore.SpecError) as caught:
        plain_json({"a": {1}, "b": [math.nan, b"x"], 5: 1, "c": np.zeros(2)})
    must_be = "must be something that JSON can hold, is of type"
    assert caught.value.mistakes == (
        Mistake("a", f"{must_be} set"),
        Mistake("b.0", "must be a finite number, is NaN"),
        Mistake("b.1", f"{must_be} bytes"),
        Mistake("", "the key 5 must be text"),
        Mistake("c", f"{must_be} ndarray"),
    )


def test_plain_json_of_a_cycle_ends():
    cycle: dict = {}
    cycle["a"] = cycle
    assert message(plain_json, cycle) == "a: lists and objects are nested more than 50 deep"


@settings(deadline=None, max_examples=50)
@given(st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text("aé\n"), st.lists))
def test_plain_json_of_json_is_itself(value):
    assert plain_json(value) == value


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"seed": "7"}, {"seed": 7}),
        ({"loss": "ldam"}, {"loss": "ldam"}),
        ({"loss.gamma": "1.5"}, {"loss": {"name": "focal", "gamma": 1.5}}),
        (
            {"loss.drw.start_epoch": "3"},
            {"loss": {"name": "focal", "drw": {"start_epoch": 3}}},
        ),
        ({"loss": '{"name": "ldam", "scale": 1}'}, {"loss": {"name": "ldam", "scale": 1}}),
        ({"training.optimizer": "sgd"}, {"training": {"optimizer": "sgd", "epochs": 2}}),
        (
            {"training.scheduler.gamma": "0.5"},
            {"training": {"epochs": 2, "scheduler": {"gamma": 0.5}}},
        ),
        ({"training.epochs": "null"}, {"training": {"epochs": None}}),
        ({"training.compile": "true"}, {"training": {"epochs": 2, "compile": True}}),
        ({"name": "a b"}, {"name": "a b"}),
        ({"name": ""}, {"name": ""}),
        ({"name": '"7"'}, {"name": "7"}),
        ({"seeds.data": "5"}, {"seeds": {"data": 5}}),
        ({"loss": "ldam", "loss.scale": "1"}, {"loss": {"name": "ldam", "scale": 1}}),
        ({"loss.scale": "1", "loss": "ldam"}, {"loss": "ldam"}),
    ],
)
def test_with_overrides_beats_the_document(overrides, expected):
    document = {"seed": 1, "loss": "focal", "training": {"epochs": 2}, "seeds": None}
    assert with_overrides(document, overrides) == {**document, **expected}


def test_with_overrides_expands_an_optimizer_s_name():
    document = {"training": {"optimizer": "sgd"}}
    changed = with_overrides(document, {"training.optimizer.lr": "0.5"})
    assert changed == {"training": {"optimizer": {"name": "sgd", "lr": 0.5}}}
    assert document == {"training": {"optimizer": "sgd"}}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("", "1", "--set =1: write --set field.subfield=value"),
        ("loss.", "1", "--set loss.=1: write --set field.subfield=value"),
        ("a..b", "1", "--set a..b=1: write --set field.subfield=value"),
        ("seed.x.y", "1", "--set seed.x.y=1: seed is a number, no object"),
        ("list.0", "1", "--set list.0=1: list is a list, no object"),
        ("seed", "NaN", "--set seed=NaN: must be a finite number, is NaN"),
        ("seed", "1" * 99, f"--set seed={'1' * 60}...: must be a signed number"),
        ("a", '{"b": 1, "b": 2}', '--set a={"b": 1, "b": 2}: b: this key appears twice'),
        ("a", "\udcff", "--set a=\\udcff: must be a string of whole characters"),
    ],
)
def test_with_overrides_refuses_what_leads_nowhere(path, value, expected):
    document = {"seed": 1, "list": [1]}
    assert expected in message(with_overrides, document, {path: value})
