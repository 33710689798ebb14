"""Which runs are tested against which, and what the tests say, against naive ones and scipy."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
from scipy.stats import binomtest

from ltcore.measures import METRICS
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.bootstrap import Resampling
from ltcore.reporting.pairing import best_of
from ltcore.reporting.reporters import builtin_reporter
from ltcore.reporting.study import compare
from tests.report_runs import LABEL, VIEWS, guessing, run_of, shuffled

WITH_INTERVALS = Analysis(metrics=("top1", "nll", "worst_recall"), intervals=True)
LOSSES = ("cross_entropy", "focal", "ldam", "balanced_softmax")


def right_in(loss, hits, **more):
    """A run that is right on the first images only: as many as there are hits."""
    right = np.arange(len(LABEL)) < hits
    return guessing(run_of(loss, **more), np.where(right, LABEL, (LABEL + 1) % 6))


def pairs_of(runs, analysis=None, view="balanced", metric="top1"):
    (setting,) = compare(runs, analysis).settings
    return [pair for pair in setting.pairs if (pair.view, pair.metric) == (view, metric)]


def names(pairs):
    return {(pair.first, pair.second, pair.reason) for pair in pairs}


def test_each_run_is_tested_against_the_baseline_and_against_the_best():
    hits = {"cross_entropy": 60, "focal": 70, "ldam": 80, "balanced_softmax": 50}
    pairs = pairs_of(right_in(loss, n) for loss, n in hits.items())
    assert names(pairs) == {
        ("balanced_softmax", "cross_entropy", "baseline"),
        ("focal", "cross_entropy", "baseline"),
        ("ldam", "cross_entropy", "baseline"),
        ("balanced_softmax", "ldam", "best"),
        ("focal", "ldam", "best"),
    }
    assert len(pairs) == 5


def test_where_the_baseline_is_best_no_pair_is_tested_twice():
    pairs = pairs_of([right_in("cross_entropy", 90), right_in("focal", 80), right_in("ldam", 70)])
    assert names(pairs) == {
        ("focal", "cross_entropy", "baseline"),
        ("ldam", "cross_entropy", "baseline"),
    }


def test_without_the_baseline_each_is_tested_against_the_best():
    pairs = pairs_of([right_in("lade", 90), right_in("focal", 80), right_in("ldam", 70)])
    assert names(pairs) == {("focal", "lade", "best"), ("ldam", "lade", "best")}


def test_another_loss_can_be_the_baseline():
    runs = [right_in("cross_entropy", 60), right_in("focal", 70), right_in("ldam", 80)]
    assert names(pairs_of(runs, Analysis(baseline="focal"))) == {
        ("cross_entropy", "focal", "baseline"),
        ("ldam", "focal", "baseline"),
        ("cross_entropy", "ldam", "best"),
    }


def test_all_pairs_are_tested_where_asked_for_with_the_baseline_as_the_second():
    pairs = pairs_of([run_of(loss) for loss in LOSSES], Analysis(pairs="all"))
    assert len(pairs) == 6
    assert {pair.reason for pair in pairs} == {"all"}
    found = {frozenset((pair.first, pair.second)) for pair in pairs}
    assert found == set(map(frozenset, itertools.combinations(LOSSES, 2)))
    assert "cross_entropy" not in {pair.first for pair in pairs}


def test_mcnemar_counts_the_images_that_one_of_two_runs_alone_has_right():
    focal, plain = run_of("focal"), run_of("cross_entropy", skill=0.7)
    (pair,) = pairs_of([focal, shuffled(plain)], view="tail")
    only = {"focal": 0, "plain": 0}
    for index in VIEWS["tail"]:
        one, other = (run.test.prediction[index] == LABEL[index] for run in (focal, plain))
        only["focal"] += one and not other
        only["plain"] += other and not one
    assert (pair.only_first, pair.only_second) == (only["focal"], only["plain"])
    assert pair.difference == pytest.approx((only["focal"] - only["plain"]) / 10, abs=1e-15)
    (pair,) = pairs_of([focal, plain])
    decided = pair.only_first + pair.only_second
    assert pair.p == pytest.approx(binomtest(pair.only_first, decided).pvalue, abs=1e-12)


def test_p_values_are_corrected_within_one_backbone_view_and_metric():
    runs = [run_of(loss, of) for of in ("resnet", "vit") for loss in LOSSES]
    (setting,) = compare(runs).settings
    families = defaultdict(list)
    for pair in setting.pairs:
        families[pair.backbone, pair.view, pair.metric].append(pair)
    assert len(families) == 2 * 4  # the four views that have images
    for family in families.values():
        by_p = sorted(family, key=lambda pair: pair.p)
        largest = 0.0
        for rank, pair in enumerate(by_p):
            largest = max(largest, min(1.0, (len(family) - rank) * pair.p))
            assert pair.p_corrected == pytest.approx(largest, abs=1e-15)
            assert pair.family == len(family)


def test_the_family_holds_the_tests_of_all_seeds():
    runs = [run_of(loss, seed=seed) for seed in (1, 2, 3) for loss in ("cross_entropy", "focal")]
    pairs = pairs_of(runs)
    assert [(pair.seeds.init, pair.family) for pair in pairs] == [(1, 3), (2, 3), (3, 3)]
    assert [pair.p_corrected >= pair.p for pair in pairs] == [True] * 3
    assert max(pair.p_corrected / pair.p for pair in pairs) > 1


def test_training_sets_and_recipes_are_families_of_their_own():
    specs = [{}, {"training": {"epochs": 7}}]
    runs = [run_of(loss, spec=spec) for spec in specs for loss in ("cross_entropy", "focal")]
    runs += [run_of(loss, counts=np.full(6, 9)) for loss in ("cross_entropy", "focal")]
    settings = compare(runs).settings
    assert [len(setting.cells) for setting in settings] == [2, 2, 2]
    assert {pair.family for setting in settings for pair in setting.pairs} == {1}


def test_runs_are_paired_by_their_seeds():
    runs = [run_of("cross_entropy", seed=1), run_of("focal", seed=2), run_of("focal", seed=1)]
    assert [pair.seeds.init for pair in pairs_of(runs)] == [1]
    assert pairs_of(runs[:2]) == []


def test_of_a_seed_that_is_repeated_the_first_run_is_tested():
    names = ("b", "a")
    twins = [run_of("focal", draw=name, name=name) for name in names]
    first = pairs_of([run_of("cross_entropy"), twins[1]])
    assert pairs_of([run_of("cross_entropy"), *twins]) == first


def test_published_accuracies_are_never_paired():
    runs = [run_of("cross_entropy"), run_of("focal", origin="accuracies"), run_of("ldam")]
    for analysis in (WITH_INTERVALS, Analysis(pairs="all", intervals=True)):
        (setting,) = compare(runs, analysis).settings
        assert {(pair.first, pair.second) for pair in setting.pairs} == {("ldam", "cross_entropy")}


def test_views_without_images_have_no_tests():
    (setting,) = compare([run_of("cross_entropy"), run_of("focal")], WITH_INTERVALS).settings
    assert {pair.view for pair in setting.pairs} == {"balanced", "long_tailed", "head", "tail"}


def test_without_intervals_only_the_exact_test_is_made():
    runs = [run_of("cross_entropy"), run_of("focal")]
    (setting,) = compare(runs, Analysis(metrics=("nll", "f1_macro"))).settings
    assert {(pair.metric, pair.interval) for pair in setting.pairs} == {("top1", None)}


def test_a_metric_that_is_asked_for_twice_is_tested_once():
    runs = [run_of("cross_entropy"), run_of("focal")]
    twice = Analysis(metrics=("nll", "nll", "top1"), intervals=True)
    assert len(pairs_of(runs, twice, metric="nll")) == 1
    assert len(pairs_of(runs, twice)) == 1


def test_the_interval_of_a_difference_is_that_of_the_paired_bootstrap():
    focal, plain = run_of("focal"), run_of("cross_entropy", skill=0.7)
    (pair,) = pairs_of([focal, plain], WITH_INTERVALS)
    by_id = np.argsort(focal.test.id)
    hits = [(run.test.prediction == run.test.label)[by_id] for run in (focal, plain)]
    each_image = hits[0].astype(float) - hits[1].astype(float)
    blocks = Resampling(LABEL[by_id]).multiplicities()
    differences = np.concatenate([block @ each_image for block in blocks]) / len(LABEL)
    assert len(differences) == 2000
    expected = np.percentile(differences, (2.5, 97.5))
    assert pair.interval == pytest.approx(tuple(expected), abs=1e-12)
    assert pair.interval.low < pair.difference < pair.interval.high


def test_pairing_narrows_the_interval_of_runs_that_agree():
    rng = np.random.default_rng(0)
    runs = [run_of("cross_entropy"), run_of("focal")]
    shared = np.where(rng.random(len(LABEL)) < 0.5, LABEL, (LABEL + 1) % 6)
    one, other = shared.copy(), shared.copy()
    other[:3] = (LABEL[:3] + 2) % 6
    agreeing = [guessing(run, guess) for run, guess in zip(runs, (other, one), strict=True)]
    (pair,) = pairs_of(agreeing, WITH_INTERVALS)
    interval = compare(agreeing).runs[0].metrics["balanced"].interval("top1")
    assert pair.interval.high - pair.interval.low < (interval.high - interval.low) / 3


def test_equal_predictions_differ_by_nothing():
    guess = run_of("cross_entropy").test.prediction
    runs = [guessing(run_of(loss), guess) for loss in ("cross_entropy", "focal")]
    (pair,) = pairs_of(runs, WITH_INTERVALS)
    assert (pair.difference, pair.interval, pair.p) == (0.0, (0.0, 0.0), 1.0)
    (pair,) = pairs_of(runs, WITH_INTERVALS, metric="nll")
    assert (pair.difference, pair.interval, pair.p) == (0.0, (0.0, 0.0), 1.0)


def test_other_metrics_have_a_bootstrap_p_and_no_discordant_images():
    (pair,) = pairs_of(
        [run_of("focal"), run_of("cross_entropy", skill=0.2)], WITH_INTERVALS, metric="nll"
    )
    assert (pair.only_first, pair.only_second) == (None, None)
    assert pair.interval.high < 0 < pair.difference + 3  # a lower NLL is the better one
    assert pair.p == pytest.approx(2 / 2001)  # not one of 2,000 resamples on the other side


def test_a_bootstrap_p_is_twice_the_smaller_share_with_one_more_counted():
    runs = [run_of("focal", draw=3), run_of("cross_entropy", skill=0.95)]
    (pair,) = pairs_of(runs, WITH_INTERVALS, metric="nll")
    by_id = np.argsort(runs[0].test.id)
    nll = [
        -(of.logits - np.log(np.exp(of.logits.astype(float)).sum(axis=1, keepdims=True)))[
            np.arange(len(LABEL)), LABEL
        ][by_id]
        for of in (run.test for run in runs)
    ]
    blocks = Resampling(LABEL[by_id]).multiplicities()
    differences = np.concatenate([block @ (nll[0] - nll[1]) for block in blocks])
    smaller = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    assert 0 < smaller < 1000
    assert pair.p == pytest.approx(2 * (smaller + 1) / 2001)


def test_the_best_of_each_metric_is_the_one_it_is_tested_against():
    runs = [run_of("focal", skill=0.3), run_of("ldam"), run_of("lade", skill=0.6)]
    assert {pair.second for pair in pairs_of(runs, WITH_INTERVALS, metric="nll")} == {"ldam"}


@pytest.mark.parametrize(("metric", "best"), [("top1", "b"), ("nll", "a")])
def test_the_best_is_the_largest_or_the_smallest(metric, best):
    assert best_of({"c": 0.3, "b": 0.5, "a": 0.2}, METRICS[metric]) == best


def test_of_equally_good_ones_the_best_is_the_first_by_name():
    assert best_of({"c": 0.5, "b": 0.5, "a": 0.2}, METRICS["top1"]) == "b"


def test_two_models_are_told_apart_by_the_corrected_p_value():
    runs = [right_in("cross_entropy", 60), right_in("focal", 66), right_in("ldam", 65)]
    found = {(pair.first, pair.second): pair for pair in pairs_of(runs)}
    pair = found["focal", "cross_entropy"]
    assert (pair.p, pair.p_corrected, pair.separable) == (0.03125, 0.09375, False)
    (alone,) = pairs_of(runs[:2])
    assert (alone.p, alone.p_corrected, alone.separable) == (0.03125, 0.03125, True)


def test_the_pairs_depend_on_no_order_of_runs_or_images():
    runs = [run_of(loss, of) for of in ("resnet", "vit") for loss in LOSSES]
    other = [shuffled(run, seed) for seed, run in enumerate(reversed(runs))]
    analysis = Analysis(metrics=("top1", "nll", "ece_adaptive"), intervals=True, pairs="all")
    one, two = (compare(of, analysis).settings[0].pairs for of in (runs, other))
    assert one == two


def grid(seeds):
    """Runs of two backbones and three losses; seeds by backbone and loss, else those of None."""
    return [
        run_of(loss, backbone, seed=seed, skill=skill)
        for backbone in ("resnet", "vit")
        for loss, skill in (("cross_entropy", 0.6), ("focal", 0.9), ("ldam", 1.0))
        for seed in seeds.get((backbone, loss), seeds[None])
    ]


def backbones_tested(runs):
    (setting,) = compare(runs, Analysis(pairs="needed")).settings
    return {pair.backbone for pair in setting.pairs}


@pytest.mark.parametrize(
    ("seeds", "tested"),
    [
        ({None: (1,)}, {"resnet", "vit"}),
        ({None: (1, 2)}, set()),
        ({None: (1, 2, 3)}, set()),
        ({None: (1, 2, 3), ("vit", "focal"): (3,)}, {"vit"}),
        ({None: (1, 2, 3), ("vit", "focal"): (2, 3, 4)}, set()),
        ({None: (1, 2), ("vit", "focal"): (2, 3)}, {"vit"}),
    ],
)
@pytest.mark.parametrize("intervals", [False, True])
def test_tests_of_models_are_needed_where_seeds_do_not_decide(seeds, tested, intervals):
    runs = grid(seeds)
    assert backbones_tested(runs) == tested
    every, needed = (
        compare(runs, Analysis(pairs=pairs, intervals=intervals)) for pairs in ("key", "needed")
    )
    assert {pair.backbone for pair in every.settings[0].pairs} == {"resnet", "vit"}
    assert every.settings[0].inseparable == needed.settings[0].inseparable
    assert every.settings[0].gains == needed.settings[0].gains
    for name in ("table", "markdown", "latex", "csv", "html"):
        reporter = builtin_reporter(name)()
        assert reporter.render(every) == reporter.render(needed)


def test_a_table_of_three_seeds_says_that_its_mark_comes_from_seeds():
    reporter = builtin_reporter("table")()
    text = " ".join(reporter.render(compare(grid({None: (1, 2, 3)}))).split())
    assert "~ not separable from the best of its column by the t interval of the" in text
    assert "McNemar" not in text
    one_seed = " ".join(reporter.render(compare(grid({None: (1,)}))).split())
    assert "by the exact McNemar test of the two trained models" in one_seed


def notes_of(runs):
    """What a table says below itself of its marks, on one line."""
    text = " ".join(builtin_reporter("table")().render(compare(runs)).split())
    assert "~" in text
    return text


def test_published_accuracies_do_not_make_seeds_differ():
    published = run_of("equalization", "vit", seed=9, origin="accuracies")
    runs = [*grid({None: (1, 2, 3)}), published]
    assert backbones_tested(runs) == set()
    notes = notes_of(runs)
    assert "by the t interval of the" in notes
    assert "by Newcombe's interval" in notes


def test_a_cell_of_a_published_and_a_trained_run_counts_by_the_trained_one():
    published = run_of("focal", "vit", seed=1, origin="accuracies")
    runs = [*grid({None: (2, 3), ("vit", "focal"): (2,)}), published]
    assert backbones_tested(runs) == {"vit"}


def test_a_table_of_losses_without_a_seed_in_common_says_so():
    losses = ("cross_entropy", "focal", "ldam")
    notes = notes_of([run_of(loss, seed=seed) for seed, loss in enumerate(losses)])
    assert "they have no seed in common" in notes
    assert "t interval" not in notes
