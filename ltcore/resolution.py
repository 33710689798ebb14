"""From a document to the spec that runs: core and components checked together, defaults filled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ltcore.components import Backbone, Component, Kind
from ltcore.documents import plain_json
from ltcore.errors import LtcoreError, Mistake, PluginError, SpecError, one_line
from ltcore.mistakes import field_paths, mistakes_in, shown
from ltcore.offers import Offer
from ltcore.outcome import ResolvedSpec, default_selection
from ltcore.plugins import Catalogue
from ltcore.spec import COMPONENT_FIELDS, LARGEST_SIZE, ComponentRef, RunSpec, SeedOverrides

_Model = TypeVar("_Model", bound=BaseModel)
_CORE_PATHS = [
    path for path in field_paths(RunSpec) if path.partition(".")[0] not in COMPONENT_FIELDS
]


def parse_spec(document: Mapping[str, Any], source: str | None = None) -> RunSpec:
    """Check the core's fields of a document alone.

    Args:
        document: a spec's JSON.
        source: the file it was read from, for the messages.

    Raises:
        SpecError: with every mistake in them.
    """
    try:
        return _core_spec(plain_json(document), _CORE_PATHS)
    except SpecError as error:
        raise SpecError(error.mistakes, source) from None


def resolve(
    document: RunSpec | Mapping[str, Any], catalogue: Catalogue, source: str | None = None
) -> ResolvedSpec:
    """Check a spec against the installed components, and complete it.

    Args:
        document: a spec, or its JSON.
        catalogue: what is installed.
        source: the file it was read from, for the messages.

    Raises:
        SpecError: with every mistake of the core's fields and the components' parameters.
    """
    try:
        return _resolve(_as_json(document), catalogue)
    except SpecError as error:
        raise SpecError(error.mistakes, source) from None


def resolve_component(
    document: str | Mapping[str, Any] | ComponentRef, kind: Kind, catalogue: Catalogue
) -> Component:
    """Check one component by itself: a name, or an object with a name and parameters.

    Raises:
        SpecError: its parameters are wrong.
        PluginError: nobody offers it.
    """
    plain = document.model_dump() if isinstance(document, ComponentRef) else plain_json(document)
    reference = _reference(plain)
    if reference is None:
        raise SpecError([Mistake(kind, "give a name, or an object with a 'name'")])
    return _component(catalogue.find(kind, reference.name), reference, kind, ())


def _resolve(plain: dict[str, Any], catalogue: Catalogue) -> ResolvedSpec:
    mistakes: list[Mistake] = []
    references = {field: _reference(plain.get(field)) for field in COMPONENT_FIELDS}
    offers: dict[Kind, Offer] = {}
    for field, reference in references.items():
        if reference is not None:  # else the core's own mistakes say so
            with _collected(mistakes, f"{field}.name"):
                offers[field] = catalogue.find(field, reference.name)
    places = _CORE_PATHS + [
        path for field, offer in offers.items() for path in field_paths(offer.component, field)
    ]
    components: dict[str, Component] = {}
    for field, offer in offers.items():
        if reference := references[field]:
            with _collected(mistakes, f"{field}.name"):
                components[field] = _component(offer, reference, field, places)
    spec: RunSpec | None = None
    with _collected(mistakes):
        spec = _core_spec(plain, places)
    if spec is not None and not mistakes:
        resolved = _completed(spec, components, offers)
        mistakes = _contradictions(resolved)
    if mistakes:
        order = {name: index for index, name in enumerate(RunSpec.model_fields)}
        mistakes.sort(key=lambda mistake: order.get(mistake.field.partition(".")[0], -1))
        raise SpecError(mistakes)
    return resolved


def _as_json(document: RunSpec | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(document, RunSpec):
        return document.model_dump(mode="json")
    plain = plain_json(document)
    if not isinstance(plain, dict):
        raise SpecError(f"a spec is an object, this is {shown(plain)}")
    return plain


def _core_spec(plain: dict[str, Any], places: Iterable[str]) -> RunSpec:
    try:
        return RunSpec.model_validate_json(json.dumps(plain))
    except ValidationError as error:
        raise SpecError(mistakes_in(error, plain, RunSpec, places=places)) from None


def _reference(value: Any) -> ComponentRef | None:
    try:
        return ComponentRef.model_validate(value)
    except ValidationError:
        return None


def _component(
    offer: Offer, reference: ComponentRef, field: str, places: Iterable[str]
) -> Component:
    parameters = reference.parameters
    with _blamed_on(offer):
        try:
            # extra: models in a component's parameters refuse unknown keys too, whatever their own
            return offer.component.model_validate_json(json.dumps(parameters), extra="forbid")
        except ValidationError as error:
            mistakes = mistakes_in(error, parameters, offer.component, field, places)
            raise SpecError(mistakes) from None


def _completed(
    spec: RunSpec, components: Mapping[str, Any], offers: Mapping[Kind, Offer]
) -> ResolvedSpec:
    with _blamed_on(offers["dataset"]):
        select = spec.training.select or default_selection(components["dataset"])
    with _blamed_on(offers["backbone"]):
        size = spec.transform.size or _input_size(components["backbone"], offers["backbone"])
    filled: dict[str, Any] = {
        "schema_url": None,
        "seeds": SeedOverrides(**dict(spec.resolved_seeds())),
        "transform": _with(spec.transform, size=size),
        "training": _with(spec.training, select=select),
    }
    for field, offer in offers.items():
        with _blamed_on(offer):
            parameters = components[field].model_dump(mode="json", by_alias=True)
        filled[field] = _with(getattr(spec, field), parameters=parameters)
    plugins = {offer.source.distribution: offer.source.version for offer in offers.values()}
    sources = {kind: str(offer.source) for kind, offer in offers.items()}
    unnamed = ResolvedSpec(_with(spec, **filled), **components, plugins=plugins, sources=sources)
    named = _with(unnamed.spec, name=spec.name or unnamed.default_name())
    return replace(unnamed, spec=named)


def _input_size(backbone: Backbone, offer: Offer) -> int:
    size = backbone.input_size
    if isinstance(size, int) and 1 <= size <= LARGEST_SIZE:
        return size
    raise PluginError(
        f"the backbone {offer.name!r} of {offer.source} says that its input_size is {size!r}; "
        f"it must be a whole number from 1 to {LARGEST_SIZE}"
    )


def _with(model: _Model, **changes: Any) -> _Model:
    return model.model_copy(update=changes)


def _contradictions(resolved: ResolvedSpec) -> list[Mistake]:
    drw, epochs = resolved.loss.drw, resolved.spec.training.epochs
    if drw is None or drw.start_epoch < epochs:
        return []
    message = (
        f"{drw.start_epoch} is never reached in {epochs} epochs (counted from 0); "
        f"choose less than {epochs}"
    )
    return [Mistake("loss.drw.start_epoch", message)]


@contextmanager
def _collected(mistakes: list[Mistake], field: str = "") -> Iterator[None]:
    """Add what is wrong to the others; a plugin's error is a mistake of the field that names it."""
    try:
        yield
    except PluginError as error:
        mistakes.append(Mistake(field, str(error)))
    except SpecError as error:
        mistakes += error.mistakes


@contextmanager
def _blamed_on(offer: Offer) -> Iterator[None]:
    """Name the plugin whose code raised something unforeseen."""
    try:
        yield
    except LtcoreError:
        raise
    except Exception as error:
        raise PluginError(
            f"the {offer.kind} {offer.name!r} of {offer.source} raised {one_line(error)} "
            "when its parameters were checked"
        ) from error
