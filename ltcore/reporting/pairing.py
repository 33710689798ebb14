"""Tests between trained models on the same images: exact McNemar, paired bootstrap, Holm.

A pair is two runs of one training set, recipe, backbone and seed. A p-value is corrected over its
family: the pairs of one backbone, view and metric, of all seeds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ltcore.differences import Pair
from ltcore.measures import METRICS, Interval, MetricInfo
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.bootstrap import accuracy_replicates, percentile_interval
from ltcore.reporting.evidence import Evidence, correct_in
from ltcore.reporting.significance import exact_mcnemar, holm

if TYPE_CHECKING:
    from ltcore.components import Seeds

Reason = Literal["baseline", "best", "all"]
_Chosen = tuple[Evidence, Evidence, Reason]

_TOGETHER = 256  # runs that are resampled together


def pairs_of(cells: Mapping[tuple[str, str], Sequence[Evidence]], analysis: Analysis) -> list[Pair]:
    """Compare the runs of one setting, backbone by backbone and seed by seed.

    Args:
        cells: (backbone, loss) -> its runs. Runs whose predictions were made up are left out.
        analysis: which pairs, which metrics, and whether intervals are wanted.
    """
    groups = _groups(cells)
    everyone = [item for seeds in groups.values() for group in seeds.values() for item in group]
    if len(everyone) < 2:
        return []
    pairs: list[Pair] = []
    for view, indices in everyone[0].images.views.items():
        for metric in _compared(analysis) if len(indices) else ():
            resampled = replicates_of(everyone, view, metric) if analysis.intervals else {}
            for seeds in groups.values():
                family = [
                    chosen
                    for group in seeds.values()
                    for chosen in _chosen(group, view, metric, analysis)
                ]
                pairs += _tested(family, view, metric, resampled)
    return pairs


def best_of(values: Mapping[str, float], metric: MetricInfo) -> str:
    """The name of the best value; of equal ones the first by name."""
    sign = 1.0 if metric.lower_is_better else -1.0
    return min(values, key=lambda name: (sign * values[name], name))


def _groups(
    cells: Mapping[tuple[str, str], Sequence[Evidence]],
) -> dict[str, dict[Seeds, list[Evidence]]]:
    """Backbone -> seeds -> the runs of its losses; of a seed that a cell repeats, the first."""
    groups: dict[str, dict[Seeds, list[Evidence]]] = defaultdict(lambda: defaultdict(list))
    for (backbone, _), runs in cells.items():
        first_of: dict[Seeds, Evidence] = {}
        for item in runs:
            if not item.run.published:
                first_of.setdefault(item.run.seeds, item)
        for seeds, item in first_of.items():
            groups[backbone][seeds].append(item)
    return groups


def _compared(analysis: Analysis) -> list[str]:
    """Top-1 has an exact test; of other metrics only the bootstrap tells, and of plugins' none."""
    asked = analysis.metrics if analysis.intervals else ()
    return list(dict.fromkeys(("top1", *(metric for metric in asked if metric in METRICS))))


def _chosen(
    group: Sequence[Evidence], view: str, metric: str, analysis: Analysis
) -> Iterator[_Chosen]:
    """Each run against the baseline and against the best; or all against all."""
    found = {item.run.loss: item.run.metrics[view].value(metric) for item in group}
    values = {loss: value for loss, value in found.items() if value is not None}
    runs = {item.run.loss: item for item in group if item.run.loss in values}
    if analysis.pairs == "all":
        # The baseline is the second of its pairs, as in a gain.
        for one, other in combinations(sorted(runs, key=analysis.baseline.__eq__), 2):
            yield runs[one], runs[other], "all"
    elif runs:
        best, baseline = best_of(values, METRICS[metric]), analysis.baseline
        for loss, item in runs.items():
            if baseline in runs and loss != baseline:
                yield item, runs[baseline], "baseline"
            if best != baseline and loss not in (best, baseline):
                yield item, runs[best], "best"


def replicates_of(
    everyone: Sequence[Evidence], view: str, metric: str
) -> dict[int, NDArray[np.float64]]:
    """Each run's values over the same resamples, by identity; all have the same test images."""
    if metric != "top1":
        key = (view, metric)
        return {id(item): item.replicates[key] for item in everyone if key in item.replicates}
    resampling = everyone[0].images.resampling(view)
    replicates: dict[int, NDArray[np.float64]] = {}
    for start in range(0, len(everyone), _TOGETHER):
        some = everyone[start : start + _TOGETHER]
        values = accuracy_replicates(resampling, correct_in(some, view))
        replicates |= {id(item): of_run for item, of_run in zip(some, values, strict=True)}
    return replicates


def pair_of(
    first: Evidence,
    second: Evidence,
    reason: Reason,
    view: str,
    metric: str,
    replicates: Mapping[int, NDArray[np.float64]],
) -> Pair:
    """Compare two runs on a view, as a family of its own.

    Args:
        first: one of them.
        second: the other, tested on the same images.
        reason: why these two.
        view: an index array of both.
        metric: ``top1``, or one that there are replicates of.
        replicates: values of either over the same resamples, by identity; where they are missing
            there is no interval.
    """
    (pair,) = _tested([(first, second, reason)], view, metric, replicates)
    return pair


def _tested(
    family: Sequence[_Chosen],
    view: str,
    metric: str,
    replicates: Mapping[int, NDArray[np.float64]],
) -> list[Pair]:
    """Compare the pairs of one family, their p-values corrected over it."""
    tests = [_test(first, second, view, metric, replicates) for first, second, _ in family]
    corrected = holm([test.p for test in tests])
    return [
        Pair(
            backbone=first.run.backbone,
            first=first.run.loss,
            second=second.run.loss,
            seeds=first.run.seeds,
            view=view,
            metric=metric,
            reason=reason,
            p_corrected=p,
            family=len(family),
            **test._asdict(),
        )
        for (first, second, reason), test, p in zip(family, tests, corrected, strict=True)
    ]


class _Test(NamedTuple):
    """What :class:`ltcore.differences.Pair` says of two runs by themselves."""

    difference: float
    interval: Interval | None
    only_first: int | None
    only_second: int | None
    p: float


def _test(
    first: Evidence,
    second: Evidence,
    view: str,
    metric: str,
    replicates: Mapping[int, NDArray[np.float64]],
) -> _Test:
    values = [item.run.metrics[view].value(metric) or 0.0 for item in (first, second)]
    resampled = [replicates[id(item)] for item in (first, second) if id(item) in replicates]
    differences = resampled[0] - resampled[1] if len(resampled) == 2 else None
    interval = None if differences is None else percentile_interval(differences)
    only_first = only_second = None
    if metric == "top1":
        one, other = first.correct_bits(view), second.correct_bits(view)
        only_first, only_second = (one & ~other).bit_count(), (other & ~one).bit_count()
        p = exact_mcnemar(only_first, only_second)
    else:
        p = 1.0 if differences is None else _bootstrap_p(differences)
    return _Test(values[0] - values[1], interval, only_first, only_second, p)


def _bootstrap_p(differences: NDArray[np.float64]) -> float:
    """Twice the smaller share of differences on one side of nothing, one more counted on each."""
    smaller = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return min(1.0, 2 * (smaller + 1) / (len(differences) + 1))
