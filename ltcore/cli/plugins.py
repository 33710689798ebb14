"""`ltcore plugins`."""

from __future__ import annotations

import json
from typing import Any

import click


@click.command(
    "plugins",
    short_help="List the installed components, and what is wrong with plugins.",
    epilog="Example: ltcore plugins --json",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(as_json: bool) -> None:
    """List every component with its parameters, and every plugin that could not be used.

    STATE is `ok`; `clash` where two plugins offer one name (a spec then says DISTRIBUTION:NAME);
    or `broken`, with the cause. A plugin that imports torch when it is loaded slows every command
    down and is marked.
    """
    from ltcore.plugins import load_plugins

    catalogue = load_plugins()
    rows: list[dict[str, Any]] = []
    for offer in catalogue.offers:
        clash = sum(o.name == offer.name for o in catalogue.of_kind(offer.kind)) > 1
        slow = offer.source in catalogue.import_torch
        rows.append(
            {
                "kind": offer.kind,
                "name": offer.name,
                "parameters": _parameters(offer.component),
                "distribution": offer.source.distribution,
                "version": offer.source.version,
                "state": "clash" if clash else "ok",
                "cause": "imports torch when loaded" if slow else None,
            }
        )
    rows += [
        {
            "kind": None,
            "name": None,
            "parameters": {},
            "distribution": fault.source.distribution,
            "version": fault.source.version,
            "state": "broken",
            "cause": fault.cause,
        }
        for fault in catalogue.faults
    ]
    click.echo(json.dumps(rows, indent=2) if as_json else _table(rows))


def _parameters(component: Any) -> dict[str, Any]:
    """Name -> default, as JSON; a required parameter has none and is ``required``."""
    result: dict[str, Any] = {}
    for name, field in component.model_fields.items():
        default = field.get_default(call_default_factory=True)
        plain = default.model_dump(mode="json") if hasattr(default, "model_dump") else default
        result[field.alias or name] = "required" if field.is_required() else plain
    return result


def _table(rows: list[dict[str, Any]]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    columns = ("kind", "name", "parameters", "distribution", "version", "state", "cause")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column not in ("parameters", "cause"))
    for row in rows:
        parameters = ", ".join(f"{k}={json.dumps(v)}" for k, v in row["parameters"].items())
        values = {**row, "parameters": parameters}
        table.add_row(*(Text(_printable(values[column])) for column in columns))
    console = Console(width=None if Console().is_terminal else 140)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _printable(value: Any) -> str:
    return "".join(c if c.isprintable() else " " for c in str(value or ""))
