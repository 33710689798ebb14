"""From pydantic's errors to sentences: which field, what is there, what must be, what is near."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args

from ltcore.errors import Mistake, printable

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

_LONGEST = 60

_MUST_BE = {
    "string_type": "a string",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "finite_number": "a finite number",
    "string_too_short": "a string of {min_length} or more characters",
    "string_too_long": "a string of {max_length} or fewer characters",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of {max_length} or fewer",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "union_tag_invalid": "one of {expected_tags}",
    "union_tag_not_found": "of a form that is allowed here",
}
"""What a value must be, by the type of pydantic's error; in braces what its context holds."""


def mistakes_in(
    error: ValidationError,
    document: Any,
    model: type[BaseModel],
    prefix: str = "",
    places: Iterable[str] = (),
) -> list[Mistake]:
    """Every mistake of a validation, in the order of the fields.

    Args:
        error: what pydantic raised.
        document: what it validated.
        model: against what.
        prefix: the field that the document stands in, for the paths.
        places: paths of all fields that an unknown one may be meant for; the model's where there
            are none.
    """
    all_places = [*places] or field_paths(model, prefix)
    found: dict[str, list[_Finding]] = {}
    for item in error.errors(include_url=False):
        finding = _Finding(item, document)
        field = ".".join([*filter(None, [prefix]), *(cut(str(key)) for key in finding.path)])
        found.setdefault(printable(field), []).append(finding)
    sentences = {field: _sentence(f, field, model, all_places) for field, f in found.items()}
    return [
        Mistake(field, "\n  ".join(printable(line) for line in sentence.splitlines()))
        for field, sentence in sentences.items()
    ]


def field_paths(model: type[BaseModel], prefix: str = "") -> list[str]:
    """The dotted paths of a model's fields and of those of the models in them."""
    return list(dict.fromkeys(_walk(model, f"{prefix}." if prefix else "", ())))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like one that is not known, where one is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.65)
    return near[0] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?``, or nothing where no known name is near."""
    near = nearest(name, known)
    return f" Did you mean {near!r}?" if near else ""


def shown(value: object) -> str:
    """A value as JSON, printable, cut where it is long."""
    return printable(cut(json.dumps(value, ensure_ascii=False, default=str)))


def cut(text: str) -> str:
    """The text, or its beginning where it is long."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


class _Finding:
    """One of pydantic's errors.

    Attributes:
        kind, context, message: as pydantic gives them.
        path: the keys of the document that lead to it.
        location: the same with the tags of unions, which are no keys of the document.
        value: what was found there.
    """

    def __init__(self, item: Mapping[str, Any], document: Any) -> None:
        self.kind: str = item["type"]
        self.context: Mapping[str, Any] = item.get("ctx", {})
        self.message: str = item["msg"]
        self.location: tuple[str | int, ...] = item["loc"]
        self.value: Any = item["input"]
        self.path = _path(self.location, document, missing=self.kind == "missing")
        discriminator = self.context.get("discriminator", "")
        if discriminator.startswith("'") and isinstance(self.value, Mapping):
            tag = discriminator.strip("'")
            self.path = (*self.path, tag)
            self.kind = self.kind if tag in self.value else "missing"
            self.value = self.value.get(tag)

    def must_be(self) -> str | None:
        """What the value must be, where that can be said in a few words."""
        if self.kind in _MUST_BE:
            numbers = {
                name: int(value) if isinstance(value, float) and value.is_integer() else value
                for name, value in self.context.items()
            }
            return _MUST_BE[self.kind].format_map(numbers)
        text = self.message.removeprefix("Input should be ")
        return text if text != self.message else None


def _path(
    location: tuple[str | int, ...], document: Any, *, missing: bool
) -> tuple[str | int, ...]:
    path: list[str | int] = []
    node = document
    for position, part in enumerate(location, start=1):
        if _holds(node, part):
            node = node[part]
        elif not (missing and position == len(location)):
            continue  # the tag of a union
        path.append(part)
    return tuple(path)


def _holds(node: Any, part: str | int) -> bool:
    if isinstance(node, (list, tuple)):
        return isinstance(part, int) and part < len(node)
    return isinstance(node, Mapping) and part in node


def _sentence(
    findings: list[_Finding], field: str, model: type[BaseModel], places: Iterable[str]
) -> str:
    """What is wrong with one field; of a union, each alternative found something wrong."""
    first = findings[0]
    match first.kind:
        case "missing":
            return "required, and missing"
        case "extra_forbidden":
            owner = _models_at(model, first.location[:-1])[0]
            return _unknown_field(str(first.path[-1]), field, list(_keys(owner)), places)
        case "string_pattern_mismatch":
            return f"{shown(first.value)} is not allowed. {_allowed(first, model)}"
        case "value_error" | "assertion_error":
            return str(first.context["error"])
    wanted = [text for finding in findings if (text := finding.must_be())]
    if not wanted:
        return f"{first.message}, is {shown(first.value)}"
    options = " or ".join(dict.fromkeys(wanted))
    near = did_you_mean(str(first.value), re.findall(r"'([^']*)'", options))
    return f"must be {options}, is {shown(first.value)}.{near}".removesuffix(".")


def _unknown_field(key: str, field: str, known: Collection[str], places: Iterable[str]) -> str:
    elsewhere: dict[str, list[str]] = {}
    for place in places:
        name = place.rpartition(".")[2]
        if place != field and name not in known:
            elsewhere.setdefault(name, []).append(place)
    if key in elsewhere:
        near = elsewhere[key]
    elif here := nearest(key, known):
        near = [here]
    else:
        near = elsewhere.get(nearest(key, elsewhere) or "", [])
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    taken = f"Known here: {', '.join(known)}" if known else "Nothing is known here"
    return f"unknown field.{hint} {taken}"


def _allowed(finding: _Finding, model: type[BaseModel]) -> str:
    for owner in _models_at(model, finding.location[:-1]):
        field = _keys(owner).get(str(finding.location[-1]))
        if field is not None and field.description:
            return f"Allowed: {field.description.rstrip('.')}"
    return f"It must match {finding.context['pattern']}"


def _keys(model: type[BaseModel]) -> dict[str, Any]:
    """A model's fields by the keys that a document uses for them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _models_at(model: type[BaseModel], location: Iterable[str | int]) -> list[type[BaseModel]]:
    """The models that stand where a location leads; a union has several until a tag chooses one."""
    models = [model]
    for part in location:
        fields = [field for option in models if (field := _keys(option).get(str(part)))]
        if fields:
            models = [inner for field in fields for inner in _models_in(field.annotation)] or models
        else:
            models = [option for option in models if _has_tag(option, part)] or models
    return models


def _has_tag(model: type[BaseModel], tag: str | int) -> bool:
    return any(tag in get_args(field.annotation) for field in model.model_fields.values())


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    from pydantic import BaseModel  # not with the module, of which a report takes the rest

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _walk(model: type[BaseModel], prefix: str, outer: tuple[type[BaseModel], ...]) -> Iterator[str]:
    for key, field in _keys(model).items():
        yield f"{prefix}{key}"
        for inner in _models_in(field.annotation):
            if inner not in (model, *outer):
                yield from _walk(inner, f"{prefix}{key}.", (model, *outer))
