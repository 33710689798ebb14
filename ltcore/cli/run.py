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
@click.option(
    "--nproc",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Train with as many processes of this machine, each with a GPU of its own where it has.",
)
@click.option("--fresh", is_flag=True, help="Begin anew where the run was interrupted.")
@click.option("--force", is_flag=True, help="Run although there are results; they are kept aside.")
@click.option("--keep-folder", is_flag=True, help="Leave the checkpoint when the run is finished.")
@click.option("--tensorboard", is_flag=True, help="Write live curves to OUT/tensorboard/NAME.")
def command(
    spec: str,
    out: Path,
    overrides: dict[str, str],
    nproc: int,
    *,
    tensorboard: bool,
    **options: bool,
) -> int:
    """Run the experiment that SPEC, a JSON file, describes.

    Publishes OUT/NAME.h5, with the weights beside it, and prints its path to stdout. A run that is
    finished already is left as it is; one that was interrupted goes on from its checkpoint.

    The batch size is that of all processes together: --nproc, and torchrun, change no spec.
    """
    from ltcore.launching import end_with_launcher, launch
    from ltcore.ranks import this_rank
    from ltcore.stopping import stop_on_signals

    rank = this_rank()
    if nproc > 1 and not rank.alone:
        raise click.UsageError("--nproc: this is one of several processes already; leave it out.")
    with stop_on_signals() as stop:
        end_with_launcher()
        from ltcore.cli.progress import summary
        from ltcore.running.start import Options, finished_results, refuse_running_elsewhere, tidy

        resolved, catalogue = resolve_from(spec, overrides)
        context = click.get_current_context().obj or {}  # none where another command calls this
        chosen = Options(**options, own_process=context.get("own_process", False))
        results = None if chosen.force else finished_results(resolved, out, catalogue)
        if results is None and nproc > 1:
            refuse_running_elsewhere(resolved, out)
            flags = {"tensorboard": tensorboard, **options}
            return launch(_arguments(spec, out, overrides, flags), nproc, stop)
        if results is None:
            results = _train_and_test(resolved, out, catalogue, chosen, stop, tensorboard)
        elif rank.first:
            found = f"{results.name} is finished already; its file is left as it is"
            click.echo(found, err=True)
            tidy(resolved, out)
    if rank.first:
        click.echo(summary(results), err=True)
        click.echo(str(results.path))
    return 0


def _arguments(
    spec: str, out: Path, overrides: dict[str, str], flags: dict[str, bool]
) -> list[str]:
    """The command line that makes a process one of the ranks."""
    context = click.get_current_context().find_root()
    settings = [f"{field}={value}" for field, value in overrides.items()]
    return [
        *(["--debug"] if context.params["debug"] else []),
        *("run", "--out", str(out)),
        *(part for setting in settings for part in ("--set", setting)),
        *(f"--{name.replace('_', '-')}" for name, is_set in flags.items() if is_set),
        *("--", spec),
    ]


def _train_and_test(
    resolved: ResolvedSpec,
    out: Path,
    catalogue: Catalogue,
    options: Options,
    stop: StopRequest,
    tensorboard: bool,
) -> Results:
    """Train and test; the first rank with a display on stderr."""
    from ltcore.cli.progress import progress_display
    from ltcore.ranks import this_rank
    from ltcore.running.start import train_and_test

    if not this_rank().first:
        return train_and_test(resolved, out, catalogue, options, stop)
    display = progress_display()
    listeners: list[object] = [display]
    if tensorboard:
        from ltcore.cli.tensorboard import TensorBoard

        listeners.append(TensorBoard())
    with display:
        listening = catalogue.with_listeners(*listeners)
        return train_and_test(resolved, out, listening, options, stop)
