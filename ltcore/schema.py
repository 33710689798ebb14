"""The JSON Schema of a spec, every installed component in it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from ltcore.components import Kind
from ltcore.offers import Offer
from ltcore.plugins import Catalogue
from ltcore.spec import COMPONENT_FIELDS, RunSpec

_Schema = dict[str, Any]


def spec_schema(catalogue: Catalogue) -> _Schema:
    """JSON Schema (draft 2020-12) of what a spec may hold.

    Args:
        catalogue: whose data sets, backbones and losses it names.
    """
    offers = [offer for offer in catalogue.offers if offer.kind in COMPONENT_FIELDS]
    mode: JsonSchemaMode = "validation"
    models: list[type[BaseModel]] = [RunSpec, *(offer.component for offer in offers)]
    references, document = models_json_schema([(model, mode) for model in models])
    definitions = document["$defs"]
    spec = definitions.pop(_key(references[RunSpec, mode]))
    clashing = Counter((offer.kind, offer.name) for offer in offers)
    choices: dict[Kind, list[tuple[list[str], str]]] = {field: [] for field in COMPONENT_FIELDS}
    for offer in offers:
        key = _key(references[offer.component, mode])
        unique = clashing[offer.kind, offer.name] == 1
        names = [offer.name, offer.full_name] if unique else [offer.full_name]
        definitions[key] = _named(definitions[key], offer, names)
        choices[offer.kind].append((names, key))
    for field in COMPONENT_FIELDS:
        spec["properties"][field] = _or_name(choices[field], definitions)
    training = definitions["Training"]["properties"]
    for part in ("optimizer", "scheduler"):
        tagged = training[part]["discriminator"]["mapping"]
        named = [([name], _key({"$ref": reference})) for name, reference in tagged.items()]
        training[part] = _or_name(named, definitions)
    definitions.pop("ComponentRef", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **spec,
        "title": "ltcore run spec",
        "$defs": definitions,
    }


def _or_name(choices: list[tuple[list[str], str]], definitions: _Schema) -> _Schema:
    """An object of one of these definitions, or the name of one that needs no parameter."""
    names = [
        name
        for named, key in choices
        if set(definitions[key].get("required", ())) <= {"name"}
        for name in named
    ]
    references = [{"$ref": f"#/$defs/{key}"} for _, key in choices]
    return {"anyOf": [{"enum": names}, *references]}


def _key(reference: _Schema) -> str:
    key: str = reference["$ref"].rpartition("/")[2]
    return key


def _named(definition: _Schema, offer: Offer, names: list[str]) -> _Schema:
    return {
        **definition,
        "title": offer.name,
        "properties": {"name": {"enum": names}, **definition.get("properties", {})},
        "required": ["name", *definition.get("required", [])],
    }
