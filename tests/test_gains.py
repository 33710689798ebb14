"""What is said of two losses or settings, against scipy; and what cannot be said."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from scipy.stats import ttest_rel

from ltcore.offline import evaluate
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.intervals import newcombe_interval
from ltcore.reporting.study import compare
from tests.report_runs import LABEL, guessing, run_of, shuffled

WITH_INTERVALS = Analysis(metrics=("top1", "nll"), intervals=True)


def top1(results, view="balanced"):
    return evaluate(results)[view].top1


def right_on(loss, right, **more):
    """A run that is right on these images alone."""
    return guessing(run_of(loss, **more), np.where(right, LABEL, (LABEL + 1) % 6))


def first(hits):
    return np.arange(len(LABEL)) < hits


def gain_of(runs, analysis=None, *, view="balanced", metric="top1", loss="focal"):
    (setting,) = compare(runs, analysis).settings
    found = [
        gain
        for gain in setting.gains
        if (gain.loss, gain.view, gain.metric) == (loss, view, metric)
    ]
    return found[0] if found else None


def seeds_of(number, losses=("cross_entropy", "focal")):
    skills = {"cross_entropy": 0.8}
    return [
        run_of(loss, seed=seed, skill=skills.get(loss, 1.0))
        for loss in losses
        for seed in range(1, number + 1)
    ]


@pytest.mark.parametrize("number", [3, 5])
@pytest.mark.parametrize("metric", ["top1", "nll"])
@pytest.mark.parametrize("intervals", [False, True])
def test_three_seeds_have_scipys_paired_t_interval(number, metric, intervals):
    runs = seeds_of(number)
    analysis = Analysis(metrics=("top1", "nll"), intervals=intervals)
    gain = gain_of(runs, analysis, metric=metric)
    values = [evaluate(run)["balanced"].value(metric) for run in runs]
    differences = [b - a for a, b in zip(values[:number], values[number:], strict=True)]
    test = ttest_rel(values[number:], values[:number]).confidence_interval(0.95)
    assert gain.interval == pytest.approx((test.low, test.high), abs=1e-9)
    assert gain.mean == pytest.approx(statistics.fmean(differences), abs=1e-12)
    assert gain.std == pytest.approx(statistics.stdev(differences), abs=1e-12)
    assert (gain.seeds, gain.scope, gain.against) == (number, "seeds", "cross_entropy")


@pytest.mark.parametrize("intervals", [False, True])
def test_two_seeds_say_nothing_of_two_losses(intervals):
    gain = gain_of(seeds_of(2), Analysis(intervals=intervals))
    assert (gain.seeds, gain.interval, gain.scope, gain.separable) == (2, None, None, False)
    assert gain.std is not None


@pytest.mark.parametrize("pairs", ["key", "all"])
@pytest.mark.parametrize("loss", ["balanced_softmax", "focal", "ldam"])
@pytest.mark.parametrize("metric", ["top1", "nll"])
def test_one_seed_has_the_interval_of_its_two_models(pairs, loss, metric):
    runs = seeds_of(1, ("cross_entropy", "balanced_softmax", "focal", "ldam"))
    analysis = Analysis(metrics=("top1", "nll"), intervals=True, pairs=pairs)
    gain = gain_of(runs, analysis, loss=loss, metric=metric)
    (pair,) = (
        pair
        for pair in compare(runs, analysis).settings[0].pairs
        if (pair.first, pair.second, pair.view, pair.metric)
        == (loss, "cross_entropy", "balanced", metric)
    )
    assert gain.interval == pair.interval
    assert (gain.seeds, gain.scope, gain.std) == (1, "models", None)
    assert gain.mean == pair.difference


def test_one_seed_without_intervals_has_a_gain_alone():
    runs = seeds_of(1)
    gain = gain_of(runs)
    assert gain.mean == pytest.approx(top1(runs[1]) - top1(runs[0]), abs=1e-15)
    assert (gain.interval, gain.scope, gain.separable) == (None, None, False)


def test_only_equal_seeds_are_paired():
    runs = [run_of("cross_entropy", seed=seed) for seed in (1, 2, 3, 4)]
    runs += [run_of("focal", seed=seed) for seed in (3, 4, 5)]
    gain = gain_of(runs)
    differences = [top1(runs[4]) - top1(runs[2]), top1(runs[5]) - top1(runs[3])]
    assert gain.seeds == 2
    assert gain.mean == pytest.approx(statistics.fmean(differences), abs=1e-15)
    assert gain_of([runs[0], runs[4]]) is None


def test_a_seed_set_apart_pairs_with_none_but_its_like():
    runs = [run_of("cross_entropy"), run_of("focal", spec={"seeds": {"init": 9}})]
    assert gain_of(runs) is None
    runs.append(run_of("cross_entropy", draw=1, spec={"seeds": {"init": 9}}))
    assert gain_of(runs).seeds == 1


def test_gains_are_over_the_baseline_that_is_asked_for():
    runs = seeds_of(1)
    gain = gain_of(runs, Analysis(baseline="focal"), loss="cross_entropy")
    assert gain.against == "focal"
    assert gain.mean == -gain_of(runs).mean
    assert gain_of(runs, loss="cross_entropy") is None


def test_gains_of_a_metric_by_a_plugin_or_of_a_prior_have_no_interval_of_two_models():
    analysis = Analysis(priors=("tail",), intervals=True)
    gain = gain_of(seeds_of(1), analysis, view="expected_tail")
    assert (gain.interval, gain.scope) == (None, None)
    assert gain_of(seeds_of(3), analysis, view="expected_tail").scope == "seeds"


def test_published_accuracies_are_compared_by_newcombes_interval():
    runs = [run_of("cross_entropy"), run_of("focal", origin="accuracies")]
    gain = gain_of(runs, WITH_INTERVALS, view="tail")
    expected = newcombe_interval(top1(runs[1], "tail"), 10, top1(runs[0], "tail"), 10)
    assert (gain.interval, gain.scope, gain.seeds) == (expected, "unpaired", 1)
    assert gain_of(runs, WITH_INTERVALS, metric="nll") is None


def test_several_published_accuracies_have_no_interval():
    published = [run_of("focal", seed=seed, origin="accuracies") for seed in (1, 2, 3)]
    gain = gain_of([*seeds_of(3, ["cross_entropy"]), *published])
    assert (gain.seeds, gain.interval, gain.scope) == (3, None, None)


def inseparable(runs, analysis=None, view="balanced", metric="top1", backbone="resnet"):
    (setting,) = compare(runs, analysis).settings
    return setting.inseparable.get((backbone, view, metric))


def test_with_one_seed_the_corrected_test_says_which_are_not_told_from_the_best():
    runs = [
        right_on("lade", first(80)),
        right_on("focal", first(77)),
        right_on("ldam", first(30)),
    ]
    assert inseparable(runs) == {"focal"}
    assert inseparable(runs[::2]) == set()


def test_with_one_seed_the_correction_counts():
    runs = [right_on("cross_entropy", first(60)), right_on("focal", first(66))]
    assert inseparable(runs) == set()  # p = 0.03
    assert inseparable([*runs, right_on("ldam", first(65))]) == {"cross_entropy", "ldam"}


def test_equally_good_models_are_not_separable_and_have_no_equal_rank():
    runs = [right_on("lade", first(80)), right_on("focal", first(80))]
    assert inseparable(runs) == {"lade"}  # focal, the first by name, stands for the best


def test_with_two_seeds_nothing_is_told_from_the_best():
    runs = [right_on("lade", first(110), seed=seed) for seed in (1, 2)]
    runs += [right_on("focal", first(20), seed=seed) for seed in (1, 2)]
    assert inseparable(runs) == {"focal"}


def test_with_three_seeds_the_t_interval_says_which_are_not_told_from_the_best():
    hits = {"lade": (80, 81, 82), "focal": (70, 71, 73), "ldam": (79, 84, 78)}
    runs = [
        right_on(loss, first(n), seed=seed)
        for loss, of_seeds in hits.items()
        for seed, n in enumerate(of_seeds)
    ]
    assert inseparable(runs) == {"ldam"}


def test_published_accuracies_are_told_from_the_best_by_newcombes_interval():
    runs = [
        right_on("lade", first(100)),
        right_on("focal", first(95), origin="accuracies"),
        right_on("ldam", first(20), origin="accuracies"),
    ]
    assert inseparable(runs) == {"focal"}


def test_a_loss_without_a_seed_in_common_is_not_told_from_the_best():
    runs = [right_on("lade", first(100), seed=1), right_on("focal", first(10), seed=2)]
    assert inseparable(runs) == {"focal"}


def test_where_no_test_was_made_nothing_is_said():
    runs = seeds_of(1)
    assert inseparable(runs, Analysis(metrics=("nll",)), metric="nll") is None
    assert inseparable(runs, WITH_INTERVALS, metric="nll") is not None


def test_a_loss_alone_has_nothing_to_be_told_from():
    (setting,) = compare([run_of()]).settings
    assert not setting.inseparable
    assert not setting.gains


def test_gains_depend_on_no_order_of_runs_or_images():
    runs = [*seeds_of(3), run_of("ldam")]
    analysis = Analysis(metrics=("top1", "ece"), intervals=True)
    others = [shuffled(run, seed) for seed, run in enumerate(reversed(runs))]
    (one,), (other,) = (compare(of, analysis).settings for of in (runs, others))
    assert (other.gains, other.inseparable) == (one.gains, one.inseparable)
