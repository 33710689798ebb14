"""`ltcore report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from ltcore.components import Reporter

UNREADABLE = 3
_PIECE = 2**20  # characters that are encoded together

# Options of the command -> what reporters that take them call them.
_OF_REPORTER = {"metric": "metrics", "view": "views", "interval": "interval", "pairs": "pairs"}
_OF_REPORTER |= {"sort": "sort", "digits": "digits"}
# These also say what is computed, so that a reporter without them is no mistake.
_OF_ANALYSIS = ("metrics", "interval", "pairs")


@click.command(
    "report",
    short_help="Compare finished runs from their results files alone.",
    epilog="Example: ltcore report results/*.h5 --metric ece --view balanced_tail --interval",
)
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option(
    "--format",
    "reporter",
    default="table",
    show_default=True,
    metavar="NAME",
    help="table, markdown, latex, csv, json, html, or a reporter that a plugin offers.",
)
@click.option(
    "--metric", multiple=True, help="top1, balanced_accuracy, ece, ..., a plugin's, or all."
)
@click.option("--view", multiple=True, help="A column; may be given several times.")
@click.option("--sort", metavar="VIEW", help="Sort rows by this view, the best first.")
@click.option("--digits", type=int, help="Decimals.")
@click.option("--interval", is_flag=True, default=None, help="Show 95 % intervals.")
@click.option(
    "--pairs",
    type=click.Choice(["key", "all"]),
    help="Show the tests between trained models: against the baseline and the best, or all.",
)
@click.option("--baseline", metavar="LOSS", help="What gains are over [default: cross_entropy].")
@click.option(
    "--thresholds",
    nargs=2,
    type=int,
    metavar="HIGH LOW",
    help="Make many, medium and few anew: above HIGH, and below LOW training images.",
)
@click.option(
    "--prior",
    "priors",
    multiple=True,
    metavar="PRIOR",
    help="A column of the accuracy expected under a view's class frequencies, under train, "
    "uniform, or a JSON file of weights by class name.",
)
@click.option("--logit-adjust", type=float, metavar="TAU", help="Add rows of z - TAU log prior.")
@click.option("--sweep-tau", is_flag=True, help="The same with the TAU that is best on val.")
@click.option("--temperature", is_flag=True, help="Scale logits by the temperature best on val.")
@click.option("--ensemble", is_flag=True, help="Average the probabilities of all the runs.")
@click.option(
    "--compare",
    "references",
    multiple=True,
    metavar="NAME",
    help="Set beside published accuracies: study, literature, or a JSON file of yours.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to a file instead.")
def command(files: tuple[str, ...], reporter: str, output: Path | None, **options: Any) -> int:
    """Compare the runs in FILES, results files; no GPU and no images are needed.

    A file that cannot be read is named, the others are reported, and the exit code is 3.
    """
    from ltcore.offline import analysis_of
    from ltcore.reporting.forks import forks_for
    from ltcore.reporting.reading import Reading
    from ltcore.reporting.reporters import BUILTIN, Wants

    component: Reporter | None = None
    wants = BUILTIN.get(reporter)
    if wants is None:
        component = _reporter(reporter, _reporter_options(options))
        wants = Wants(every_metric=True, details=component.wants_details, every_pair=True)
    analysis = analysis_of(
        options["metric"] or ("top1",),
        every_metric=wants.every_metric,
        intervals=bool(options["interval"]) or bool(getattr(component, "interval", False)),
        pairs=options["pairs"] or ("key" if wants.every_pair else "needed"),
        details=wants.details,
        **{name: options[name] for name in _OF_ANALYSIS_ALONE if options[name] is not None},
    )
    # A plugin may have started threads, of which a fork has none.
    forks = 0 if "ltcore.plugins" in sys.modules else forks_for(len(files))
    with Reading(files, analysis, forks) as reading:
        from ltcore.reporting.study import comparison_of  # while forks read, as what a reporter is

        component = component or _reporter(reporter, _reporter_options(options))
        comparison = comparison_of(reading)
    text = component.render(comparison)
    _write(text, output)
    for warning in comparison.warnings:
        click.echo(f"warning: {warning}", err=True)
    for problem in comparison.unreadable.values():
        click.echo(f"error: {problem}", err=True)
    return UNREADABLE if comparison.unreadable else 0


_OF_ANALYSIS_ALONE = (
    "baseline",
    "thresholds",
    "priors",
    "logit_adjust",
    "sweep_tau",
    "temperature",
    "ensemble",
    "references",
)


def _write(text: str, output: Path | None) -> None:
    from ltcore.errors import SurroundingsError

    pieces = (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))
    try:
        if output is None:
            for piece in pieces:
                click.echo(piece, nl=False)
            click.echo("", nl=not text.endswith("\n"))
        else:
            with output.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(pieces)
    except BrokenPipeError:  # who reads has read enough
        raise
    except OSError as error:
        where = "standard output" if output is None else output
        raise SurroundingsError(f"{where}: cannot be written: {error.strerror}") from None


def _reporter_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as reporters call them."""
    given = {
        _OF_REPORTER[name]: value
        for name, value in options.items()
        if name in _OF_REPORTER and value not in (None, ())
    }
    if "pairs" in given:
        given["pairs"] = True
    return given


def _reporter(name: str, options: dict[str, Any]) -> Reporter:
    """The reporter of a name, with the options that were given; built-in ones load no plugin."""
    import json

    from pydantic import ValidationError

    from ltcore.errors import SpecError
    from ltcore.mistakes import mistakes_in
    from ltcore.reporting.reporters import builtin_reporter

    definition = builtin_reporter(name)
    if definition is None:
        from ltcore.plugins import load_plugins

        definition = cast("type[Reporter]", load_plugins().find("reporter", name).component)
    unknown = [option for option in options if option not in definition.model_fields]
    mistaken = [option for option in unknown if option not in _OF_ANALYSIS]
    if mistaken:
        takes = ", ".join(definition.model_fields) or "no options"
        raise SpecError(f"--{mistaken[0]}: the reporter {name!r} takes {takes}")
    taken = {option: value for option, value in options.items() if option not in unknown}
    try:
        return definition.model_validate_json(json.dumps(taken))
    except ValidationError as error:
        raise SpecError(mistakes_in(error, taken, definition, f"--format {name}")) from None
