"""What a run shows while it goes on, as listeners on the notification hooks, and its last lines."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

import click

from ltcore.hookspecs import hookimpl
from ltcore.progress import EpochRow, RunInfo
from ltcore.reporting.evaluation import evaluate
from ltcore.results import Results
from ltcore.spec import RunSpec


class PlainProgress:
    """A line an epoch on stderr: for files, pipes and batch systems."""

    @hookimpl
    def ltcore_run_started(self, spec: RunSpec, run: RunInfo) -> None:
        click.echo(opening(run), err=True)

    @hookimpl
    def ltcore_epoch_finished(self, run: RunInfo, row: EpochRow) -> None:
        click.echo(epoch_line(run, row), err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class RichProgress:
    """A bar over the epochs on a terminal, with a line for each epoch that is the best yet."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("epoch"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._best = -1.0

    @hookimpl
    def ltcore_run_started(self, spec: RunSpec, run: RunInfo) -> None:
        self._bar.console.print(opening(run), markup=False, highlight=False)
        self._task = self._bar.add_task("", total=run.epochs)

    @hookimpl
    def ltcore_epoch_finished(self, run: RunInfo, row: EpochRow) -> None:
        if row.val_top1 > self._best:
            self._best = row.val_top1
            self._bar.console.print(epoch_line(run, row), markup=False, highlight=False)
        self._bar.update(self._task, advance=1, description=f"val {100 * row.val_top1:.2f}")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


def progress_display() -> PlainProgress | RichProgress:
    """A bar where stderr is a terminal, lines where it is a file."""
    return RichProgress() if sys.stderr.isatty() else PlainProgress()


def opening(run: RunInfo) -> str:
    """The first lines of a run: what is trained on what, and where; and from where it goes on."""
    resumed = f"\n  goes on at epoch {run.epoch + 1}, step {run.step + 1}"
    where = run.device if run.ranks == 1 else f"{run.device}, {run.ranks} ranks"
    return (
        f"{run.name}\n"
        f"  {run.train_images:,} training, {run.val_images:,} validation and {run.test_images:,} "
        f"test images of {run.num_classes} classes; {run.parameters:,} parameters on {where}"
        + (resumed if run.epoch or run.step else "")
    )


def epoch_line(run: RunInfo, row: EpochRow) -> str:
    """One epoch: learning rate, losses, and top-1 in percent."""
    width = len(str(run.epochs))
    return (
        f"  epoch {row.epoch + 1:{width}}/{run.epochs}  lr {row.lr:.3g}  "
        f"train loss {row.train_loss:.4f} top-1 {100 * row.train_top1:5.2f}  "
        f"val loss {row.val_loss:.4f} top-1 {100 * row.val_top1:5.2f}  {row.seconds:.1f} s"
    )


def summary(results: Results) -> str:
    """Top-1 of each view that has images, as `ltcore report` computes it."""
    lines = [f"{results.name}: top-1 in percent"]
    for view, metrics in evaluate(results).metrics.items():
        if metrics.top1 is not None:
            lines.append(f"  {view:16} {100 * metrics.top1:6.2f}  of {metrics.n:,} images")
    return "\n".join(lines)
