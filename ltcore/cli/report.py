"""`ltcore report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from ltcore.components import Reporter

UNREADABLE = 3


@click.command(
    "report",
    short_help="Compare finished runs from their results files alone.",
    epilog="Example: ltcore report results/*.h5 --metric ece --view balanced_tail",
)
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option(
    "--format",
    "reporter",
    default="table",
    show_default=True,
    metavar="NAME",
    help="table, json, or a reporter that a plugin offers.",
)
@click.option("--metric", help="What the tables show: top1, balanced_accuracy, ece, ..., or all.")
@click.option("--view", "views", multiple=True, help="A column; may be given several times.")
@click.option("--digits", type=int, help="Decimals.")
@click.option("--interval", is_flag=True, default=None, help="Show 95 % intervals.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to a file instead.")
def command(files: tuple[str, ...], reporter: str, output: Path | None, **options: Any) -> int:
    """Compare the runs in FILES, results files; no GPU and no images are needed.

    A file that cannot be read is named, the others are reported, and the exit code is 3.
    """
    from ltcore.errors import SurroundingsError
    from ltcore.reporting.study import compare

    component = _reporter(reporter, {k: v for k, v in options.items() if v not in (None, ())})
    comparison = compare(files)
    text = component.render(comparison)
    if output is None:
        click.echo(text, nl=not text.endswith("\n"))
    else:
        try:
            output.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise SurroundingsError(f"{output}: cannot be written: {error.strerror}") from None
    for problem in comparison.unreadable.values():
        click.echo(f"error: {problem}", err=True)
    return UNREADABLE if comparison.unreadable else 0


def _reporter(name: str, options: dict[str, Any]) -> Reporter:
    """The reporter of a name, with the options that were given; built-in ones load no plugin."""
    import json

    from pydantic import ValidationError

    from ltcore.errors import SpecError
    from ltcore.mistakes import mistakes_in
    from ltcore.reporting.reporters import builtin_reporters

    definition = builtin_reporters().get(name)
    if definition is None:
        from ltcore.plugins import load_plugins

        definition = cast("type[Reporter]", load_plugins().find("reporter", name).component)
    unknown = [option for option in options if option not in definition.model_fields]
    if unknown:
        takes = ", ".join(definition.model_fields) or "no options"
        raise SpecError(f"--{unknown[0]}: the reporter {name!r} takes {takes}")
    try:
        return definition.model_validate_json(json.dumps(options))
    except ValidationError as error:
        raise SpecError(mistakes_in(error, options, definition, f"--format {name}")) from None
