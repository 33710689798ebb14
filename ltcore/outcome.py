"""Which parameters can change what a run computes, and the run's name made from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from ltcore.components import Backbone, Component, Dataset, Kind, Loss
from ltcore.spec import COMPONENT_FIELDS, RunSpec

_NOTHING = object()
_Parameter = tuple[str, Any, Any]
"""Field path, value, and default; that of a required parameter is ``_NOTHING``."""


@dataclass(frozen=True)
class ResolvedSpec:
    """A spec with every default filled in, and the components that it names.

    Attributes:
        spec: the complete spec: what runs, and what is stored.
        dataset, backbone, loss: the components with their parameters.
        plugins: distribution -> version, of what the spec needs.
        sources: kind -> distribution and version of the component, for messages.
    """

    spec: RunSpec
    dataset: Dataset
    backbone: Backbone
    loss: Loss
    plugins: Mapping[str, str]
    sources: Mapping[Kind, str]

    def described(self, kind: Kind) -> str:
        """A component for messages: ``the loss 'focal' of ltcore-losses 0.1.0``."""
        return f"the {kind} {self.components[kind].name!r} of {self.sources[kind]}"

    @property
    def components(self) -> dict[str, Component]:
        """The components by their field in the spec."""
        return {name: getattr(self, name) for name in COMPONENT_FIELDS}

    def outcome(self) -> dict[str, Any]:
        """Field path -> value of every parameter that affects the outcome, defaults included."""
        return {path: value for path, value, _ in self._parameters()}

    def differing(self) -> dict[str, Any]:
        """Field path -> value of the parameters that affect the outcome and are not the default.

        ``seed`` is left out: it stands in the name by itself.
        """
        return {
            path: value
            for path, value, default in self._parameters()
            if value != default and path != "seed"
        }

    def default_name(self) -> str:
        """``<dataset>-<backbone>-<loss>-s<seed>``, and 8 hex digits where parameters differ.

        The digits are the SHA-256 of what differs from its default, so that a release that adds a
        parameter renames nothing.
        """
        names = "-".join(component.name for component in self.components.values())
        name = f"{names}-s{self.spec.seed}"
        differing = self.differing()
        if not differing:
            return name
        canonical = json.dumps(differing, sort_keys=True, separators=(",", ":"))
        return f"{name}-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"

    def _parameters(self) -> Iterator[_Parameter]:
        settled = {
            "transform.size": self.backbone.input_size,
            "training.select": default_selection(self.dataset),
            **{f"seeds.{name}": self.spec.seed for name in ("data", "init", "order")},
        }
        for path, value, default in _leaves(self.spec, None):
            if path.partition(".")[0] not in COMPONENT_FIELDS:
                yield path, value, settled.get(path, default)
        for field, component in self.components.items():
            # A name with its distribution was needed where two offer it: it then tells them apart.
            yield f"{field}.name", getattr(self.spec, field).name, component.name
            yield from _leaves(component, None, f"{field}.")


def default_selection(dataset: Dataset) -> str:
    """``best``; or ``last`` where the best epoch would be chosen on the test images."""
    return "last" if dataset.val_is_test else "best"


def _leaves(model: BaseModel, default: BaseModel | None, prefix: str = "") -> Iterator[_Parameter]:
    """Each parameter that affects the outcome.

    Args:
        model: whose fields these are.
        default: what stands in the model's place where a spec does not say; its parameters are
            the defaults. Where there is none, or one of another class, they are the fields' own.
        prefix: of the paths.
    """
    for name, field in type(model).model_fields.items():
        if not _affects_outcome(field):
            continue
        path, value = f"{prefix}{field.alias or name}", getattr(model, name)
        if type(default) is type(model):
            usual = getattr(default, name)
        else:
            usual = field.get_default(call_default_factory=True, validated_data={})
        if isinstance(value, BaseModel):
            if type(usual) is not type(value) and not _has_required_field(value):
                yield path, {}, _NOTHING  # else an object of nothing but defaults left no trace
            yield from _leaves(value, usual, f"{path}.")
        else:
            yield path, _plain(value), _NOTHING if usual is PydanticUndefined else _plain(usual)


def _affects_outcome(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return not (isinstance(extra, dict) and extra.get("affects_outcome") is False)


def _has_required_field(model: BaseModel) -> bool:
    return any(field.is_required() for field in type(model).model_fields.values())


def _plain(value: Any) -> Any:
    """A value as JSON holds it: sets in one order; of a model in a list, what is not default."""
    match value:
        case BaseModel():
            leaves = _leaves(value, None)
            return {path: inner for path, inner, default in leaves if inner != default}
        case Mapping():
            return {str(_plain(key)): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case set() | frozenset():
            return sorted((_plain(inner) for inner in value), key=repr)
    return to_jsonable_python(value)
