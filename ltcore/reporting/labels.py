"""Labels that tell things apart which share a name, by the parameters in which they differ.

Reports load no plugin, so a parameter's default is not known: what counts is in what the compared
runs differ.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

Parameters = tuple[tuple[str, str], ...]
"""Dotted name and JSON value, sorted by name: hashable, and equal where the parameters are."""

Named = tuple[str, Parameters]


def parameters_of(tree: Mapping[str, Any]) -> Parameters:
    """Flatten nested parameters.

    A null says what leaving the parameter out does, and whole floats are integers.

    >>> parameters_of({"gamma": 2.0, "drw": {"start_epoch": 160}, "size": None})
    (('drw.start_epoch', '160'), ('gamma', '2'))
    """
    return tuple(sorted(_leaves(tree, "")))


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", _as_json(value)


def _as_json(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def plain_name(reference: str) -> str:
    """A component's name without the distribution that a spec may name before it."""
    return reference.rpartition(":")[2]


def outcome_of(declaration: BaseModel) -> dict[str, Any]:
    """The fields of a part of the spec that can change what a run computes."""
    extras = {
        name: field.json_schema_extra for name, field in type(declaration).model_fields.items()
    }
    ignored = {
        name
        for name, extra in extras.items()
        if isinstance(extra, dict) and extra.get("affects_outcome") is False
    }
    return declaration.model_dump(exclude=ignored)


def tell_apart(things: Iterable[Named]) -> dict[Named, str]:
    """Give each thing its name, and in brackets the parameters in which those of its name differ.

    >>> tell_apart([("ldam", ()), ("focal", (("gamma", "1"),)), ("focal", (("gamma", "2"),))])
    {('ldam', ()): 'ldam', ('focal', (('gamma', '1'),)): 'focal(gamma=1)', \
('focal', (('gamma', '2'),)): 'focal(gamma=2)'}
    """
    variants: dict[str, dict[Parameters, None]] = defaultdict(dict)
    for name, parameters in things:
        variants[name][parameters] = None
    return {
        (name, parameters): name + in_brackets(differing)
        for name, of_name in variants.items()
        for parameters, differing in _differing(tuple(of_name)).items()
    }


def in_brackets(parameters: Parameters) -> str:
    """``(gamma=1, tau=2)``; nothing for no parameters."""
    shown = ", ".join(f"{name}={value}" for name, value in parameters)
    return f"({shown})" if shown else ""


def _differing(variants: tuple[Parameters, ...]) -> dict[Parameters, Parameters]:
    """Each variant's items that not all variants have."""
    shared = set(variants[0]).intersection(*variants[1:])
    return {items: tuple(item for item in items if item not in shared) for items in variants}
