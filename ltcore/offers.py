"""What plugins offer, and whether a thing that one hands over is a sound component.

Nothing here loads a plugin or calls its hooks.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ltcore.components import Component, Kind
from ltcore.measures import METRICS
from ltcore.records import COLUMNS
from ltcore.reporting.reporters import RESERVED_NAMES

_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")  # three of them fit into a file's name
_RESERVED: Mapping[Kind, Collection[str]] = {
    "metric": {*METRICS, *COLUMNS, "all"},
    "reporter": RESERVED_NAMES,
}
_DECLARATIONS: Mapping[Kind, Mapping[str, tuple[str | bool, ...]]] = {
    "loss": {"head": ("linear", "cosine"), "trained_prior": ("train", "uniform")},
    "metric": {"lower_is_better": (False, True), "percent": (False, True)},
}


@dataclass(frozen=True, order=True)
class Source:
    """Where a plugin comes from.

    Attributes:
        distribution: the installed distribution, or the plugin's own name where it was passed by
            hand.
        version: of the distribution; empty where there is none.
    """

    distribution: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip()

    def is_called(self, distribution: str) -> bool:
        """Whether this is the distribution's name, as pip compares names."""
        return _normal(self.distribution) == _normal(distribution)


@dataclass(frozen=True)
class Offer:
    """One component that a plugin offers."""

    component: type[Component]
    source: Source

    @property
    def kind(self) -> Kind:
        """What it is: dataset, backbone, loss or reporter."""
        return self.component.kind

    @property
    def name(self) -> str:
        """What a spec calls it."""
        return self.component.name

    @property
    def full_name(self) -> str:
        """What a spec calls it where two plugins offer the name."""
        return f"{self.source.distribution}:{self.name}"


@dataclass(frozen=True)
class Fault:
    """What is wrong with a plugin, or with one thing that it offers.

    Attributes:
        source: the plugin's distribution.
        cause: the exception's type and text, or what was expected and what was found.
    """

    source: Source
    cause: str


def problem_of(definition: Any, kind: Kind, base: type[Component]) -> str | None:
    """Why a thing that a plugin hands over cannot be used as a component; None where it can.

    Args:
        definition: the thing.
        kind: of the hook that handed it over.
        base: the class that components of this kind derive from.
    """
    if not isinstance(definition, type):
        return f"a component is a class, this is of type {type(definition).__name__}"
    label = definition.__name__
    if not issubclass(definition, base):
        return f"{label} is no subclass of ltcore.{base.__name__}"
    problem = _problem_of_name(definition, kind) or _problem_of_attributes(definition, kind)
    if problem:
        return f"{label}.{problem}"
    if inspect.isabstract(definition):
        missing = ", ".join(sorted(definition.__abstractmethods__))
        return f"{label} does not implement {missing}"
    return None


def _problem_of_name(definition: type[Component], kind: Kind) -> str | None:
    if "name" in definition.model_fields:
        return "name is a parameter; declare it as name: ClassVar[str]"
    name = getattr(definition, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return (
            f"name is {name!r}; it must be lower-case letters, digits and underscores, at most 50, "
            "starting with a letter"
        )
    if name in _RESERVED.get(kind, ()):
        return f"name is {name!r}, which ltcore itself uses"
    return None


def _problem_of_attributes(definition: type[Component], kind: Kind) -> str | None:
    suffix = getattr(definition, "suffix", None)
    if kind == "reporter" and not (isinstance(suffix, str) and suffix.startswith(".")):
        return f"suffix is {suffix!r}; it must be a string like '.txt'"
    title = getattr(definition, "title", None)
    if kind == "metric" and not (isinstance(title, str) and title):
        return f"title is {title!r}; it must be a string such as 'macro F1'"
    for attribute, allowed in _DECLARATIONS.get(kind, {}).items():
        value = getattr(definition, attribute, None)
        if value not in allowed:
            return f"{attribute} is {value!r}; it must be {' or '.join(map(repr, allowed))}"
    return None


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
