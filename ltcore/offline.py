"""The functions of ltcore's Python interface that need finished runs alone: no torch, no images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from ltcore.comparison import Comparison
from ltcore.measures import METRICS, Metrics
from ltcore.reporting.analysis import DEFAULT_BASELINE, Analysis
from ltcore.reporting.evaluation import evaluate as evaluation_of
from ltcore.results import Results

if TYPE_CHECKING:
    from ltcore.components import Metric


def evaluate(results: Results) -> Mapping[str, Metrics]:
    """The metrics of a run on each view of its test split, from its logits.

    Returns:
        View -> metrics: the numbers that :func:`report` and the command print.
    """
    return evaluation_of(results).metrics


def report(
    sources: Iterable[str | os.PathLike[str] | Results],
    *,
    metrics: Sequence[str] = ("top1",),
    every_metric: bool = True,
    intervals: bool = False,
    pairs: Literal["key", "all"] = "key",
    baseline: str = DEFAULT_BASELINE,
    thresholds: tuple[int, int] | None = None,
    priors: Sequence[str] = (),
    logit_adjust: float | None = None,
    sweep_tau: bool = False,
    temperature: bool = False,
    ensemble: bool = False,
    references: Sequence[str | os.PathLike[str]] = (),
    details: bool = False,
    plugins: Sequence[Any] = (),
    forks: int = 0,
) -> Comparison:
    """Compare finished runs, from their logits alone.

    ``metrics`` says for which metrics intervals, tests and gains are; it may name those that
    plugins offer, or ``all``.

    Args:
        sources: results files, or results.
        metrics: see above.
        every_metric: compute the built-in metrics that are not named too; without them a report of
            top-1 alone takes half the time.
        intervals: bootstrap what has no closed interval, and paired differences.
        pairs: test each run against the baseline and the best, or all against all.
        baseline: the loss that gains are over.
        thresholds: ``(100, 20)`` makes the views many (more training images than the first),
            medium and few (less than the second) anew.
        priors: the accuracy expected under the class frequencies of a view, of ``train``, of
            ``uniform``, or of a JSON file of weights by class name.
        logit_adjust: add a row for each run, of logits ``z - tau log(prior)``.
        sweep_tau: the same with the tau that is best on the validation images.
        temperature: scale the logits by the temperature that is best on the validation images.
        ensemble: average the probabilities of all runs.
        references: ``study``, ``literature``, or paths of published accuracies of your own.
        details: keep what a report of single runs shows: history, confusion, ...
        plugins: as in :func:`run`.
        forks: how many copies of this process share the work, which changes no bit; for programs
            that have started no threads. None with a plugin's metrics.

    Returns:
        The comparison that every reporter renders; what could not be read stands in it by name.

    Raises:
        SpecError: what is asked for does not exist or does not suit the files.
        PluginError: a metric's plugin is missing or failed.
    """
    from ltcore.reporting.study import compare  # the command reads files before it takes this

    analysis = analysis_of(
        metrics,
        plugins,
        every_metric=every_metric,
        intervals=intervals,
        pairs=pairs,
        baseline=baseline,
        thresholds=thresholds,
        priors=tuple(priors),
        logit_adjust=logit_adjust,
        sweep_tau=sweep_tau,
        temperature=temperature,
        ensemble=ensemble,
        references=tuple(references),
        details=details,
    )
    return compare(sources, analysis, forks=forks)


def analysis_of(metrics: Sequence[str], plugins: Sequence[Any] = (), **more: Any) -> Analysis:
    """What is asked for, the metrics found by their names.

    Args:
        metrics: as in :func:`report`.
        plugins: likewise.
        **more: the other fields of an analysis.

    Raises:
        SpecError, PluginError: as there.
    """
    names = tuple(METRICS) if "all" in metrics else tuple(dict.fromkeys(metrics))
    offered = tuple(_offered(name, plugins) for name in names if name not in METRICS)
    return Analysis(metrics=names, offered=offered, **more)


def _offered(name: str, plugins: Sequence[Any]) -> Metric:
    """A metric that a plugin offers; a report of built-in ones loads none."""
    from ltcore.plugins import load_plugins
    from ltcore.resolution import resolve_component

    return cast("Metric", resolve_component(name, "metric", load_plugins(*plugins)))
