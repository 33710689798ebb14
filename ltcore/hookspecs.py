"""The hooks: the one page that a plugin author must read.

A plugin is a module (or object) that implements some of these functions under
``@ltcore.hookimpl``, named by an entry point of the group ``ltcore``::

    [project.entry-points.ltcore]
    my_loss = "my_ltcore_loss"

The five registration hooks are called once a catalogue, without side effects, and must not import
torch. The three notification hooks are called on rank 0 while a run goes on; one that raises is
switched off with one warning, and stops neither the run nor another listener.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

from ltcore.components import Backbone, Dataset, Loss, Metric, Reporter

if TYPE_CHECKING:
    from ltcore.progress import EpochRow, RunInfo
    from ltcore.results import Results
    from ltcore.spec import RunSpec

PROJECT = "ltcore"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def ltcore_register_datasets() -> Sequence[type[Dataset]]:  # type: ignore[empty-body]
    """Return the data sets that the plugin offers."""


@hookspec
def ltcore_register_backbones() -> Sequence[type[Backbone]]:  # type: ignore[empty-body]
    """Return the backbones that the plugin offers."""


@hookspec
def ltcore_register_losses() -> Sequence[type[Loss]]:  # type: ignore[empty-body]
    """Return the losses that the plugin offers."""


@hookspec
def ltcore_register_metrics() -> Sequence[type[Metric]]:  # type: ignore[empty-body]
    """Return the metrics that the plugin offers to reports."""


@hookspec
def ltcore_register_reporters() -> Sequence[type[Reporter]]:  # type: ignore[empty-body]
    """Return the reporters that the plugin offers."""


@hookspec
def ltcore_run_started(spec: RunSpec, run: RunInfo) -> None:
    """Called once, when data, model and criterion are built and before the first step.

    Args:
        spec: the resolved spec, every default filled.
        run: what else is known before the first epoch.
    """


@hookspec
def ltcore_epoch_finished(run: RunInfo, row: EpochRow) -> None:
    """Called after each epoch's validation.

    Args:
        run: the same as at the start.
        row: the epoch's line of the history.
    """


@hookspec
def ltcore_run_finished(results: Results) -> None:
    """Called once, when the results file is published.

    Args:
        results: what is in the file; ``results.path`` says where it is.
    """
