"""`ltcore schema`."""

from __future__ import annotations

import json

import click


@click.command(
    "schema",
    short_help="Print the JSON Schema of a spec, with every installed component.",
    epilog="Example: ltcore schema > spec.schema.json",
)
def command() -> None:
    """Print the JSON Schema of a spec, with every installed component and its parameters."""
    from ltcore.plugins import load_plugins
    from ltcore.schema import spec_schema

    click.echo(json.dumps(spec_schema(load_plugins()), indent=2))
