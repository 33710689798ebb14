"""What one cell has more than another, and which cells nothing tells from the best.

Seeds are paired. One pair of runs says something of two trained models; a statement about the
losses needs three.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product

from ltcore.comparison import Cell, Control, Run, in_view_order
from ltcore.differences import ENOUGH_SEEDS, Difference, Pair, Scope
from ltcore.measures import Interval
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.grouping import Group
from ltcore.reporting.intervals import newcombe_interval, t_interval
from ltcore.reporting.pairing import best_of, pair_of, replicates_of
from ltcore.reporting.statistics import mean, sample_std

Cells = Mapping[tuple[str, str], Cell]
Place = tuple[str, str, str]
"""Backbone, view and metric."""


def gains_of(cells: Cells, pairs: Sequence[Pair], analysis: Analysis) -> list[Difference]:
    """Each loss's cell minus that of the baseline on the same backbone."""
    known = {
        (pair.backbone, pair.first, pair.second, pair.view, pair.metric): pair.interval
        for pair in pairs
        if pair.interval
    }
    gains = []
    for (backbone, loss), cell in cells.items():
        baseline = cells.get((backbone, analysis.baseline))
        if baseline is None or cell is baseline:
            continue
        for view, metric in _places([cell], analysis):
            interval = known.get((backbone, loss, baseline.loss, view, metric))
            gain = difference_of(cell, baseline, baseline.loss, view, metric, interval)
            gains += [gain] if gain else []
    return gains


def difference_of(
    cell: Cell,
    other: Cell,
    against: str,
    view: str,
    metric: str,
    of_models: Interval | None = None,
) -> Difference | None:
    """A cell's metric minus another's, over the pairs of runs with equal seeds.

    Args:
        cell: the first.
        other: the second.
        against: what the second is called.
        view: on which images.
        metric: what is compared.
        of_models: the interval of the two models' difference, where there is but one pair of them.

    Returns:
        None where no two runs have the same seeds and a value.
    """
    pairs = list(_by_seed(cell, other, view, metric))
    if not pairs:
        return None
    differences = [one - two for _, _, one, two in pairs]
    interval: Interval | None = None
    scope: Scope | None = None
    first, second = pairs[0][:2]
    if first.published or second.published:
        if metric == "top1" and len(pairs) == 1:
            sizes = [run.metrics[view].n for run in (first, second)]
            interval = newcombe_interval(pairs[0][2], sizes[0], pairs[0][3], sizes[1])
            scope = "unpaired"
    elif len(pairs) >= ENOUGH_SEEDS:
        interval, scope = t_interval(differences), "seeds"
    elif len(pairs) == 1 and of_models is not None:
        interval, scope = of_models, "models"
    return Difference(
        backbone=cell.backbone,
        loss=cell.loss,
        against=against,
        view=view,
        metric=metric,
        mean=mean(differences),
        std=sample_std(differences),
        seeds=len(pairs),
        interval=interval,
        scope=scope,
    )


def inseparable_of(
    cells: Cells, pairs: Sequence[Pair], analysis: Analysis
) -> dict[Place, frozenset[str]]:
    """The losses of which nothing says that they are worse than the best of their backbone.

    One seed: what the corrected test of the two models says. Three and more: the t interval; two
    say nothing. Published accuracies: Newcombe's interval. A place where a loss could be tested
    and was not is left out.
    """
    tests = {
        (pair.backbone, pair.view, pair.metric, pair.first, pair.second): pair for pair in pairs
    }
    found: dict[Place, frozenset[str]] = {}
    for backbone in dict.fromkeys(backbone for backbone, _ in cells):
        of_backbone = {loss: cell for (of, loss), cell in cells.items() if of == backbone}
        for view, metric in _places(of_backbone.values(), analysis):
            means = {loss: cell.means[view][metric].mean for loss, cell in of_backbone.items()}
            values = {loss: value for loss, value in means.items() if value is not None}
            if len(values) < 2:
                continue
            best = best_of(values, analysis.known_metrics[metric])
            verdicts = {}
            for loss in values.keys() - {best}:
                difference = difference_of(of_backbone[loss], of_backbone[best], best, view, metric)
                place = (backbone, view, metric)
                test = tests.get((*place, loss, best)) or tests.get((*place, best, loss))
                verdicts[loss] = _separable(difference, test)
            if None not in verdicts.values():
                apart = (loss for loss, separable in verdicts.items() if not separable)
                found[backbone, view, metric] = frozenset(apart)
    return found


def _separable(difference: Difference | None, test: Pair | None) -> bool | None:
    """Whether a cell is told from the best; None where it was not asked."""
    if difference is None:  # no seed in common
        return False
    if difference.seeds == 1 and difference.scope != "unpaired":
        return test.separable if test else None
    return difference.separable


def controls_of(groups: Sequence[Group], analysis: Analysis) -> tuple[list[Control], list[str]]:
    """Compare each long-tailed setting with the balanced-trained one of its recipe.

    Returns:
        The controls, and a sentence for each two settings whose images cannot be paired.
    """
    controls: list[Control] = []
    refused: list[str] = []
    for tail, balanced in product(groups, groups):
        shared = [place for place in tail.evidence if place in balanced.evidence]
        kinds = tail.setting.train, balanced.setting.train
        if kinds != ("long_tailed", "balanced") or tail.key.recipe != balanced.key.recipe:
            continue
        if not shared or tail.key.classes != balanced.key.classes:
            continue
        one, other = (of.evidence[shared[0]][0] for of in (tail, balanced))
        if one.images.pairing == other.images.pairing:
            differences = tuple(_control(tail, balanced, shared, analysis))
            controls.append(Control(tail.setting.label, balanced.setting.label, differences))
        else:
            refused.append(
                f"{one.run.file} and {other.run.file} are not compared: the ids or labels of their "
                "test images differ"
            )
    return controls, refused


def _control(
    tail: Group, balanced: Group, shared: Sequence[tuple[str, str]], analysis: Analysis
) -> Iterator[Difference]:
    against = balanced.setting.label
    cells = [(tail.setting.cells[at], balanced.setting.cells[at]) for at in shared]
    runs = [(tail.evidence[at][0], balanced.evidence[at][0]) for at in shared]
    everyone = [item for both in runs for item in both if not item.run.published]
    for view, metric in _places((cell for both in cells for cell in both), analysis):
        one, other = (item.images for item in runs[0])
        if not one.agree(other, view):
            continue  # groups by training images are other groups in the other training set
        known = {}
        if analysis.intervals and everyone and len(one.views[view]):
            known = replicates_of(everyone, view, metric)
        for both, (first, second) in zip(cells, runs, strict=True):
            interval = None
            if id(first) in known and id(second) in known and first.run.seeds == second.run.seeds:
                interval = pair_of(first, second, "baseline", view, metric, known).interval
            found = difference_of(*both, against, view, metric, interval)
            if found is not None:
                yield found


def _places(cells: Iterable[Cell], analysis: Analysis) -> Iterator[tuple[str, str]]:
    """Each view that a cell has with each metric that is compared."""
    views = in_view_order({view for cell in cells for view in cell.means})
    metrics = dict.fromkeys(("top1", *analysis.metrics))
    return ((view, metric) for view in views for metric in metrics)


def _by_seed(
    cell: Cell, other: Cell, view: str, metric: str
) -> Iterator[tuple[Run, Run, float, float]]:
    """The runs with equal seeds, and their values; of a seed that a cell repeats, the first."""
    others = {run.seeds: run for run in reversed(other.runs)}
    for run in {run.seeds: run for run in reversed(cell.runs)}.values():
        partner = others.get(run.seeds)
        if partner is None or view not in run.metrics or view not in partner.metrics:
            continue
        one, two = run.metrics[view].value(metric), partner.metrics[view].value(metric)
        if one is not None and two is not None:
            yield run, partner, one, two
