"""Arguments that several commands share."""

from __future__ import annotations

from typing import Any

import click


def _assignments(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    assignments = {}
    for value in values:
        path, equals, text = value.partition("=")
        if not equals:
            raise click.BadParameter(f"{value!r} has no '='; write field.subfield=value")
        assignments[path] = text
    return assignments


spec_argument = click.argument("spec", type=click.Path())
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="FIELD=VALUE",
    callback=_assignments,
    help="Set a field of the spec, as in --set loss.gamma=1; may be given several times.",
)


def resolve_from(spec: str, overrides: dict[str, str]) -> tuple[Any, Any]:
    """The resolved spec of a file with ``--set`` applied, and the catalogue that it needs."""
    from ltcore.documents import read_document, with_overrides
    from ltcore.plugins import load_plugins
    from ltcore.resolution import resolve

    document = with_overrides(read_document(spec), overrides)
    catalogue = load_plugins()
    return resolve(document, catalogue, source=spec), catalogue
