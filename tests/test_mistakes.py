"""What pydantic finds wrong, as sentences without its words."""

from __future__ import annotations

import enum
import json
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Discriminator, Field, Tag, ValidationError
from pydantic_core import PydanticCustomError

from ltcore.components import Declaration
from ltcore.errors import Mistake
from ltcore.mistakes import did_you_mean, field_paths, mistakes_in, shown


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("must be even;\nchoose another \x1b[31m")
    return value


def _custom(value: int) -> int:
    raise PydanticCustomError("mine", "the {what} is full", {"what": "moon"})


class Cat(Declaration):
    kind: Literal["cat"]
    lives: int = 9


class Dog(Declaration):
    kind: Literal["dog"]
    tricks: int


class Inner(Declaration):
    depth: int = Field(default=1, alias="how-deep")


class Everything(Declaration):
    text: str = Field(default="abc", min_length=2, max_length=4)
    pattern: str = Field(default="a", pattern="^a+$")
    described: str = Field(default="a", pattern="^a+$", description="The letter a, repeated.")
    whole: int = Field(default=1, ge=0, lt=10)
    number: float = Field(default=0.5, gt=0, le=1)
    steps: int = Field(default=2, multiple_of=2)
    flag: bool = True
    choice: Literal["red", "blue"] = "red"
    colour: Colour = Colour.RED
    pair: tuple[int, int] = (1, 2)
    many: tuple[int, ...] = Field(default=(1,), min_length=1, max_length=3)
    by_name: dict[str, int] = Field(default_factory=dict)
    inner: Inner | None = None
    freeze: Annotated[int, Field(ge=0)] | Literal["all"] = 0
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] = Cat(kind="cat")
    even: Annotated[int, AfterValidator(_even)] = 2
    custom: Annotated[int, AfterValidator(_custom)] = 2
    form: Annotated[
        Annotated[int, Tag("number")] | Annotated[str, Tag("text")],
        Discriminator(lambda value: {int: "number", str: "text"}.get(type(value))),
    ] = 1
    nothing: None = None


def mistakes(document: dict, **arguments) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Everything.model_validate_json(json.dumps(document))
    found = mistakes_in(caught.value, document, Everything, **arguments)
    return [str(mistake) for mistake in found]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"text": 1}, "text: must be a string, is 1"),
        ({"text": "a"}, 'text: must be a string of 2 or more characters, is "a"'),
        ({"text": "abcde"}, 'text: must be a string of 4 or fewer characters, is "abcde"'),
        ({"pattern": "b"}, 'pattern: "b" is not allowed. It must match ^a+$'),
        ({"described": "b"}, 'described: "b" is not allowed. Allowed: The letter a, repeated'),
        ({"whole": "1"}, 'whole: must be a whole number, is "1"'),
        ({"whole": 1.0}, "whole: must be a whole number, is 1.0"),
        ({"whole": 1.5}, "whole: must be a whole number, is 1.5"),
        ({"whole": True}, "whole: must be a whole number, is true"),
        ({"whole": None}, "whole: must be a whole number, is null"),
        ({"whole": -1}, "whole: must be at least 0, is -1"),
        ({"whole": 10}, "whole: must be below 10, is 10"),
        ({"number": 0}, "number: must be above 0, is 0"),
        ({"number": 1.5}, "number: must be at most 1, is 1.5"),
        ({"number": "x"}, 'number: must be a number, is "x"'),
        ({"number": True}, "number: must be a number, is true"),
        ({"number": float("inf")}, "number: must be a finite number, is Infinity"),
        ({"steps": 3}, "steps: must be a multiple of 2, is 3"),
        ({"flag": 1}, "flag: must be true or false, is 1"),
        ({"flag": "true"}, 'flag: must be true or false, is "true"'),
        (
            {"choice": "bleu"},
            "choice: must be 'red' or 'blue', is \"bleu\". Did you mean 'blue'?",
        ),
        ({"choice": 7}, "choice: must be 'red' or 'blue', is 7"),
        ({"colour": "rde"}, "colour: must be 'red' or 'blue', is \"rde\". Did you mean 'red'?"),
        ({"pair": 5}, "pair: must be a list, is 5"),
        ({"pair": [1]}, "pair.1: required, and missing"),
        ({"pair": [1, 2, 3]}, "pair: must be a list of 2 or fewer, is [1, 2, 3]"),
        ({"pair": [1, "a"]}, 'pair.1: must be a whole number, is "a"'),
        ({"many": []}, "many: must be a list of 1 or more, is []"),
        ({"many": [1, 2, 3, 4]}, "many: must be a list of 3 or fewer, is [1, 2, 3, 4]"),
        ({"by_name": [1]}, "by_name: must be an object, is [1]"),
        ({"by_name": {"a": "b"}}, 'by_name.a: must be a whole number, is "b"'),
        ({"inner": 5}, "inner: must be an object, is 5"),
        ({"inner": {"how-deep": "x"}}, 'inner.how-deep: must be a whole number, is "x"'),
        (
            {"inner": {"how-dep": 1}},
            "inner.how-dep: unknown field. Did you mean 'how-deep'? Known here: how-deep",
        ),
        ({"freeze": -1}, "freeze: must be at least 0 or 'all', is -1"),
        (
            {"freeze": "al"},
            "freeze: must be a whole number or 'all', is \"al\". Did you mean 'all'?",
        ),
        ({"freeze": {"int": 1}}, "freeze: must be a whole number or 'all', is {\"int\": 1}"),
        ({"pet": {"kind": "dog"}}, "pet.tricks: required, and missing"),
        ({"pet": {"lives": 7}}, "pet.kind: required, and missing"),
        (
            {"pet": {"kind": "dgo"}},
            "pet.kind: must be one of 'cat', 'dog', is \"dgo\". Did you mean 'dog'?",
        ),
        ({"pet": {"kind": None}}, "pet.kind: must be one of 'cat', 'dog', is null"),
        ({"pet": 5}, "pet: must be an object, is 5"),
        (
            {"pet": {"kind": "cat", "tricks": 1}},
            "pet.tricks: unknown field. Known here: kind, lives",
        ),
        (
            {"pet": {"kind": "cat", "cat": 1}},
            "pet.cat: unknown field. Known here: kind, lives",
        ),
        ({"even": 3}, "even: must be even;\n  choose another \\x1b[31m"),
        ({"custom": 3}, "custom: the moon is full, is 3"),
        ({"form": None}, "form: must be of a form that is allowed here, is null"),
        ({"nothing": 1}, "nothing: must be null, is 1"),
        ({"lives": 1}, "lives: unknown field. Did you mean 'pet.lives'? Known here: EVERYTHING"),
        ({"live": 1}, "live: unknown field. Did you mean 'pet.lives'? Known here: EVERYTHING"),
        ({"wole": 1}, "wole: unknown field. Did you mean 'whole'? Known here: EVERYTHING"),
        ({"zzz": 1}, "zzz: unknown field. Known here: EVERYTHING"),
        ({"\x1b[31m": 1}, "\\x1b[31m: unknown field. Known here: EVERYTHING"),
        ({"k" * 100: 1}, "k" * 60 + "...: unknown field. Known here: EVERYTHING"),
    ],
)
def test_mistake_is_a_sentence_that_names_the_field(document, expected):
    (found,) = mistakes(document)
    assert found == expected.replace("EVERYTHING", ", ".join(Everything.model_fields))


def test_mistakes_come_all_at_once_in_the_order_of_the_fields():
    found = mistakes({"zzz": 1, "flag": 1, "text": 1, "inner": {"a": 1}, "whole": 1.5})
    assert [text.partition(":")[0] for text in found] == ["text", "whole", "flag", "inner.a", "zzz"]


def test_mistakes_stand_under_the_prefix():
    (found,) = mistakes({"inner": {"deep": 1}, "whole": 1}, prefix="loss")
    assert found.startswith("loss.inner.deep: unknown field.")
    (found,) = mistakes({"lives": 1}, prefix="loss")
    assert "Did you mean 'loss.pet.lives'?" in found


def test_unknown_field_is_looked_for_in_all_places():
    places = ["training.epochs", "loss.gamma", "training.scheduler.gamma"]
    (found,) = mistakes({"gamma": 1}, places=places)
    assert "Did you mean 'loss.gamma' or 'training.scheduler.gamma'?" in found
    (found,) = mistakes({"epoch": 1}, places=places)
    assert "Did you mean 'training.epochs'?" in found


def test_unknown_field_of_a_model_without_fields():
    class Empty(Declaration):
        pass

    with pytest.raises(ValidationError) as caught:
        Empty.model_validate({"a": 1})
    assert mistakes_in(caught.value, {"a": 1}, Empty) == [
        Mistake("a", "unknown field. Nothing is known here")
    ]


def test_field_paths_go_into_models_and_end_in_recursive_ones():
    class Tree(BaseModel):
        size: int
        left: Tree | None = None
        inner: Inner = Inner()

    Tree.model_rebuild(_types_namespace={"Tree": Tree})
    assert field_paths(Tree, "loss") == [
        "loss.size",
        "loss.left",
        "loss.inner",
        "loss.inner.how-deep",
    ]


@pytest.mark.parametrize(
    ("name", "expected"), [("focl", " Did you mean 'focal'?"), ("zzz", ""), ("", "")]
)
def test_did_you_mean_names_the_nearest(name, expected):
    assert did_you_mean(name, ["ldam", "focal"]) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ä", '"ä"'),
        (None, "null"),
        ("\x9b", '"\\x9b"'),
        ("x" * 100, '"' + "x" * 59 + "..."),
        ([1, 2], "[1, 2]"),
        (Colour.RED, '"Colour.RED"'),
    ],
)
def test_shown_is_printable_json_cut_where_it_is_long(value, expected):
    assert shown(value) == expected
