"""`ltcore run`."""

from __future__ import annotations

from pathlib import Path

import click

from ltcore.cli.arguments import resolve_from, set_option, spec_argument


@click.command(
    "run",
    short_help="Run one experiment and publish its results file.",
    epilog="Example: ltcore run spec.json --set loss=focal --set loss.gamma=1",
)
@spec_argument
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="results",
    show_default=True,
    help="The folder of the results file.",
)
@set_option
@click.option("--tensorboard", is_flag=True, help="Write live curves to OUT/tensorboard/NAME.")
def command(spec: str, out: Path, overrides: dict[str, str], tensorboard: bool) -> None:
    """Run the experiment that SPEC, a JSON file, describes.

    Publishes OUT/NAME.h5 and prints its path to stdout. A run that is finished already is left as
    it is.
    """
    from ltcore.cli.progress import progress_display, summary
    from ltcore.running.start import finished_results, train_and_test

    resolved, catalogue = resolve_from(spec, overrides)
    results = finished_results(resolved, out, catalogue)
    if results is not None:
        click.echo(f"{results.name} is finished already; its file is left as it is", err=True)
    else:
        display = progress_display()
        listeners: list[object] = [display]
        if tensorboard:
            from ltcore.cli.tensorboard import TensorBoard

            listeners.append(TensorBoard())
        with display:
            results = train_and_test(resolved, out, catalogue.with_listeners(*listeners))
    click.echo(summary(results), err=True)
    click.echo(str(results.path))
