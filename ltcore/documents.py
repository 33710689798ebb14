"""JSON documents: read strictly, overridden by ``--set``, and checked to hold what JSON can.

Nothing here knows which fields a spec has.
"""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from ltcore.errors import Mistake, SpecError, printable
from ltcore.mistakes import cut, shown

_DEEPEST = 50


def read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON object without checking its fields.

    Args:
        path: a UTF-8 file.

    Raises:
        SpecError: no such file, broken JSON, no object, a key twice, or a number that no field
            can hold.
    """
    source = os.fspath(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SpecError("no such file", source) from None
    except UnicodeDecodeError as error:
        raise SpecError(f"not UTF-8 text (byte {error.start})", source) from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise SpecError(f"cannot be read: {getattr(error, 'strerror', error)}", source) from None
    try:
        document = parse_json(text)
    except json.JSONDecodeError as error:
        raise SpecError(
            f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}", source
        ) from None
    except SpecError as error:
        raise SpecError(error.mistakes, source) from None
    if not isinstance(document, dict):
        raise SpecError(f"must be a JSON object, is {_json_type(document)}", source)
    return document


def parse_json(text: str) -> Any:
    """Parse JSON strictly.

    Raises:
        SpecError: a key twice, NaN or an infinity, a number beyond 64 bits, half a character, or
            lists and objects nested too deeply; all of them at once.
        json.JSONDecodeError: the text is not JSON.
    """
    try:
        # int() refuses thousands of digits; the first hundred are too many as well
        parsed = json.loads(text, object_pairs_hook=_Pairs, parse_int=lambda d: int(d[:100]))
    except RecursionError:
        raise SpecError(_TOO_DEEP) from None
    return plain_json(parsed)


def plain_json(document: Any) -> Any:
    """A copy of a document as JSON holds it: tuples become lists, paths strings.

    Args:
        document: a value of Python.

    Raises:
        SpecError: with everything in it that JSON, or a spec, cannot hold.
    """
    mistakes: list[Mistake] = []
    plain = _plain(document, (), mistakes)
    if mistakes:
        raise SpecError([*dict.fromkeys(mistakes)])
    return plain


def with_overrides(document: Mapping[str, Any], overrides: Mapping[str, str]) -> dict[str, Any]:
    """Apply ``--set`` to a document: ``{"loss.gamma": "1"}``.

    A value is JSON where it parses as JSON, and a string otherwise. What stands as a string where
    the path goes on, a component or an optimiser, is expanded to an object with that ``name``.

    Raises:
        SpecError: a path leads through something that is no object.
    """
    result = copy.deepcopy(dict(document))
    for path, text in overrides.items():
        label = printable(f"--set {path}={cut(text)}")
        *parents, last = path.split(".")
        if not all((*parents, last)):
            raise SpecError(f"{label}: write --set field.subfield=value")
        node = result
        for depth, key in enumerate(parents, start=1):
            inner = {} if node.get(key) is None else node[key]
            node[key] = {"name": inner} if isinstance(inner, str) else inner
            node = node[key]
            if not isinstance(node, dict):
                field = ".".join(parents[:depth])
                raise SpecError(f"{label}: {field} is {_json_type(node)}, no object")
        try:
            node[last] = _value(text)
        except SpecError as error:
            raise SpecError(f"{label}: {error}") from None
    return result


def _value(text: str) -> Any:
    try:
        return parse_json(text)
    except json.JSONDecodeError:
        return plain_json(text)


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object, before it is known that no key appears twice."""


_TOO_DEEP = f"lists and objects are nested more than {_DEEPEST} deep"


def _plain(value: Any, path: tuple[str, ...], mistakes: list[Mistake]) -> Any:
    value = _builtin(value)
    if not isinstance(value, (Mapping, list, tuple)):
        problem = _problem_of(value)
    elif len(path) >= _DEEPEST:
        problem, path = _TOO_DEEP, path[:1]
    elif isinstance(value, (Mapping, _Pairs)):
        return _plain_object(value, path, mistakes)
    else:
        return [_plain(item, (*path, str(i)), mistakes) for i, item in enumerate(value)]
    if problem:
        mistakes.append(Mistake(_field(path), problem))
    return value


def _builtin(value: Any) -> Any:
    """Numbers of other libraries and paths, as the built-in type that says the same."""
    match value:
        case bool():
            return value
        case Integral():
            return int(value)
        case Real():
            return float(value)
        case os.PathLike():
            return os.fspath(value)
    return value


def _problem_of(value: Any) -> str:
    match value:
        case None | bool():
            return ""
        case int() if not -(2**63) <= value < 2**63:
            return f"must be a signed number of at most 64 bits, is {shown(value)}"
        case float() if not math.isfinite(value):
            return f"must be a finite number, is {shown(value)}"
        case str() if not _is_text(value):
            return f"must be a string of whole characters, is {shown(value)}"
        case int() | float() | str():
            return ""
    return f"must be something that JSON can hold, is of type {type(value).__name__}"


def _plain_object(
    value: Mapping[Any, Any] | _Pairs, path: tuple[str, ...], mistakes: list[Mistake]
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in value.items() if isinstance(value, Mapping) else value:
        if not (isinstance(key, str) and _is_text(key)):
            mistakes.append(Mistake(_field(path), f"the key {key!r} must be text"))
        elif key in result:
            mistakes.append(Mistake(_field((*path, key)), "this key appears twice; remove one"))
        else:
            result[key] = _plain(item, (*path, key), mistakes)
    return result


def _field(path: tuple[str, ...]) -> str:
    return printable(".".join(path))


def _is_text(value: str) -> bool:
    """Whether it can be written as UTF-8: JSON's escapes can hold half of a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _json_type(value: Any) -> str:
    names = {list: "a list", str: "a string", bool: "true or false", dict: "an object"}
    return "null" if value is None else names.get(type(value), "a number")
