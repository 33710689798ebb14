"""The tree of exceptions, their exit codes, and how they read."""

from __future__ import annotations

import pickle
import re

import pytest

import ltcore
from ltcore.errors import Mistake, one_line, printable


@pytest.mark.parametrize(
    ("error", "base", "exit_code"),
    [
        (ltcore.LtcoreError, Exception, 1),
        (ltcore.SpecError, ltcore.LtcoreError, 2),
        (ltcore.PluginError, ltcore.LtcoreError, 2),
        (ltcore.ExistingResultsError, ltcore.LtcoreError, 2),
        (ltcore.ResultsFileError, ltcore.LtcoreError, 3),
        (ltcore.NonFiniteError, ltcore.LtcoreError, 4),
        (ltcore.SurroundingsError, ltcore.LtcoreError, 5),
        (ltcore.DataError, ltcore.SurroundingsError, 5),
        (ltcore.CheckpointError, ltcore.LtcoreError, 2),
        (ltcore.RunningElsewhereError, ltcore.LtcoreError, 6),
        (ltcore.StoppedError, ltcore.LtcoreError, 75),
    ],
)
def test_error_has_its_place_and_exit_code(error, base, exit_code):
    assert error.__base__ is base
    assert error.exit_code == exit_code


def test_the_tree_in_the_docstring_is_the_tree():
    import ltcore.errors as module

    drawn = re.findall(r"(\w+Error) +(\d+)  ", module.__doc__)
    errors = [value for value in vars(module).values() if isinstance(value, type)]
    errors = [error for error in errors if issubclass(error, ltcore.LtcoreError)]
    assert sorted(drawn) == sorted((error.__name__, str(error.exit_code)) for error in errors)


def test_spec_error_tells_every_mistake_with_file_and_field():
    error = ltcore.SpecError([Mistake("loss.gamma", "is wrong"), Mistake("", "is odd")], "a.json")
    assert str(error) == "a.json: loss.gamma: is wrong\na.json: is odd"
    assert [mistake.field for mistake in error.mistakes] == ["loss.gamma", ""]


def test_spec_error_of_a_text_is_one_mistake():
    error = ltcore.SpecError("no such file", "a.json")
    assert error.mistakes == (Mistake("", "no such file"),)
    assert str(error) == "a.json: no such file"
    assert str(ltcore.SpecError("nothing")) == "nothing"


def test_spec_error_escapes_a_file_s_name():
    assert str(ltcore.SpecError("odd", "\x1b[2J.json")) == "\\x1b[2J.json: odd"


def test_spec_error_survives_pickling():
    error = ltcore.SpecError([Mistake("seed", "is odd")], "a.json")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.mistakes == error.mistakes
    assert again.source == "a.json"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("größe, 大きさ", "größe, 大きさ"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\r", "a\\nb\\r"),
        ("\x9b", "\\x9b"),
        ("\u202etxt", "\\u202etxt"),
        ("\ud800", "\\ud800"),
    ],
)
def test_printable_escapes_what_a_terminal_obeys(text, expected):
    assert printable(text) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ImportError("No module named 'bar'"), "ImportError: No module named 'bar'"),
        (SystemExit(), "SystemExit"),
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (ValueError("\x1b[31m"), "ValueError: \\x1b[31m"),
    ],
)
def test_one_line_names_the_type_and_the_text(error, expected):
    assert one_line(error) == expected
