"""Means over seeds, over losses and over backbones, of runs that may be compared.

Seeds are averaged first. A mean is over what there is, and says how many that are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ltcore.comparison import Cell, Run, in_view_order
from ltcore.measures import METRICS, NO_MEAN, Mean, Means
from ltcore.reporting.statistics import mean, population_std, sample_std


def over_seeds(
    backbone: str, loss: str, runs: Sequence[Run], metrics: Iterable[str] = METRICS
) -> Cell:
    """Average the runs of one loss on one backbone (ddof 1).

    Args:
        backbone: its label.
        loss: its label.
        runs: at least one, by seed; they differ in their seeds alone.
        metrics: which.
    """
    views = _views(run.metrics for run in runs)
    of_view = {view: [run.metrics[view] for run in runs if view in run.metrics] for view in views}

    def over_runs(view: str, metric: str) -> Mean:
        found = [metrics.value(metric) for metrics in of_view[view]]
        values = [value for value in found if value is not None]
        return _mean(values, sample_std, runs=len(values))

    return Cell(backbone, loss, tuple(runs), _means(views, metrics, over_runs))


def over_cells(cells: Sequence[Cell], metrics: Iterable[str] = METRICS) -> Means:
    """Average cells that differ in their loss alone, or in their backbone alone (ddof 0)."""

    def over(view: str, metric: str) -> Mean:
        found = [cell.means[view][metric] for cell in cells if view in cell.means]
        values = [item.mean for item in found if item.mean is not None]
        return _mean(values, population_std, runs=sum(item.runs for item in found))

    return _means(_views(cell.means for cell in cells), metrics, over)


def by_seed(run: Run) -> tuple[int, int, int, int, str, str]:
    """What runs of one cell are in the order of."""
    seeds = run.seeds
    return run.seed, seeds.data, seeds.init, seeds.order, run.name, run.path or ""


def _views(mappings: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    return in_view_order({view for mapping in mappings for view in mapping})


def _means(views: tuple[str, ...], metrics: Iterable[str], of: Callable[[str, str], Mean]) -> Means:
    return {view: {metric: of(view, metric) for metric in metrics} for view in views}


def _mean(
    values: Sequence[float], std: Callable[[Sequence[float]], float | None], *, runs: int
) -> Mean:
    if not values:
        return NO_MEAN
    return Mean(mean=mean(values), std=std(values), values=len(values), runs=runs)
