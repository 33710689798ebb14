"""`ltcore validate`."""

from __future__ import annotations

import click

from ltcore.cli.arguments import resolve_from, set_option, spec_argument


@click.command(
    "validate",
    short_help="Check a spec without running it.",
    epilog="Example: ltcore validate spec.json --json",
)
@spec_argument
@set_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print the complete spec, defaults filled in."
)
def command(spec: str, overrides: dict[str, str], as_json: bool) -> None:
    """Check SPEC, a JSON file, against the installed components.

    All mistakes are told at once. What needs torch or the data is left to `ltcore run`: weights
    and their names, timm's model names, the device, the images.
    """
    resolved, _ = resolve_from(spec, overrides)
    click.echo(f"{spec}: valid; its results file is {resolved.spec.name}.h5", err=True)
    click.echo(
        "not checked, as only `ltcore run` can: weights, timm model names, the device, the images",
        err=True,
    )
    if as_json:
        click.echo(resolved.spec.model_dump_json(indent=2, by_alias=True, exclude={"schema_url"}))
