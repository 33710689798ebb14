"""The command `ltcore`: parse, call, print. Each command is a file of its own, loaded when used.

Machine-readable output goes to stdout; progress, warnings and errors go to stderr.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import NoReturn, TextIO

import click

COMMANDS = {
    "run": "Run one experiment and publish its results file.",
    "report": "Compare finished runs from their results files alone.",
    "inspect": "Show what is in a results file.",
    "validate": "Check a spec without running it.",
    "schema": "Print the JSON Schema of a spec, with every installed component.",
    "plugins": "List the installed components, and what is wrong with plugins.",
}


class _Commands(click.Group):
    """Commands by name; a command's module is imported only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"ltcore.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: ltcore run spec.json && ltcore report results/*.h5",
)
@click.version_option(package_name="ltcore")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Long-tailed image recognition: one spec, one command, one results file."""


def command_line() -> NoReturn:
    """Run the command line, and end the process with its exit code.

    Where no plugin was loaded, which may have threads and exit hooks of its own, the process ends
    without taking module after module down: that would take a report a tenth of its time.
    """
    code = main(own_process=True)
    if "ltcore.plugins" in sys.modules:
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # as where it was closed before the process began
                stream.flush()
        except (OSError, ValueError):  # nobody reads, or it is closed
            code = code or 1
    os._exit(code)


def main(argv: Sequence[str] | None = None, *, own_process: bool = False) -> int:
    """Run the command line in this process.

    Args:
        argv: the arguments without the program's name; those of the process where None.
        own_process: the process does nothing else, so that a run may settle how it keeps memory.

    Returns:
        The exit code: 0 done, 1 the run failed, 2 wrong command line, spec or plugin, 3 unreadable
        results files, 4 non-finite numbers, 5 surroundings, 6 run by another process, 75 stopped
        by a signal, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            known = {"own_process": own_process}
            code = cli.main(arguments, prog_name="ltcore", standalone_mode=False, obj=known)
        except click.ClickException as error:
            error.show()
            return error.exit_code if isinstance(error, click.UsageError) else 1
        except click.Abort:
            from ltcore.errors import INTERRUPTED
            from ltcore.ranks import this_rank

            if not this_rank().launched:  # the launcher says it for its ranks
                click.echo("interrupted; the same command goes on", err=True)
            return INTERRUPTED
        except BrokenPipeError:
            sys.stderr.close()
            return 1
        except Exception as error:
            return _explain(error, debug="--debug" in arguments)
    return code if isinstance(code, int) else 0


def _explain(error: Exception, *, debug: bool) -> int:
    from ltcore.errors import AnotherRankError, LtcoreError, StoppedError
    from ltcore.ranks import this_rank

    if debug:
        traceback.print_exc()
    if isinstance(error, LtcoreError):
        silent = isinstance(error, AnotherRankError)  # that one has spoken itself
        if isinstance(error, StoppedError):
            silent = this_rank().launched  # the launcher says it for its ranks
        if not silent:
            click.echo(f"error: {error}", err=True)
        return error.exit_code
    click.echo(
        f"error: {type(error).__name__}: {error}\n"
        "  This is a fault of ltcore or of a plugin; ltcore --debug ... shows where.",
        err=True,
    )
    return 1


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    click.echo(f"warning: {message}", err=True)
