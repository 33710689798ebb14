"""`ltcore run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ltcore.cli.arguments import resolve_from, set_option, spec_argument

if TYPE_CHECKING:
    from ltcore.outcome import ResolvedSpec
    from ltcore.plugins import Catalogue
    from ltcore.results import Results
    from ltcore.running.start import Options
    from ltcore.stopping import StopRequest


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
@click.option("--fresh", is_flag=True, help="Begin anew where the run was interrupted.")
@click.option("--force", is_flag=True, help="Run although there are results; they are kept aside.")
@click.option("--keep-folder", is_flag=True, help="Leave the checkpoint when the run is finished.")
@click.option("--tensorboard", is_flag=True, help="Write live curves to OUT/tensorboard/NAME.")
def command(
    spec: str, out: Path, overrides: dict[str, str], *, tensorboard: bool, **options: bool
) -> None:
    """Run the experiment that SPEC, a JSON file, describes.

    Publishes OUT/NAME.h5, with the weights beside it, and prints its path to stdout. A run that is
    finished already is left as it is; one that was interrupted goes on from its checkpoint.
    """
    from ltcore.stopping import stop_on_signals

    with stop_on_signals() as stop:
        from ltcore.cli.progress import summary
        from ltcore.running.start import Options, finished_results, tidy

        resolved, catalogue = resolve_from(spec, overrides)
        chosen = Options(**options)
        results = None if chosen.force else finished_results(resolved, out, catalogue)
        if results is not None:
            click.echo(f"{results.name} is finished already; its file is left as it is", err=True)
            tidy(resolved, out)
        else:
            results = _train_and_test(resolved, out, catalogue, chosen, stop, tensorboard)
    click.echo(summary(results), err=True)
    click.echo(str(results.path))


def _train_and_test(
    resolved: ResolvedSpec,
    out: Path,
    catalogue: Catalogue,
    options: Options,
    stop: StopRequest,
    tensorboard: bool,
) -> Results:
    """Train and test with a display on stderr."""
    from ltcore.cli.progress import progress_display
    from ltcore.running.start import train_and_test

    display = progress_display()
    listeners: list[object] = [display]
    if tensorboard:
        from ltcore.cli.tensorboard import TensorBoard

        listeners.append(TensorBoard())
    with display:
        listening = catalogue.with_listeners(*listeners)
        return train_and_test(resolved, out, listening, options, stop)
