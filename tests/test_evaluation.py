"""One run's evaluation: the same digits for any order of images, plugins' metrics, intervals."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ltcore.errors import NonFiniteError, PluginError
from ltcore.measures import METRICS, Metrics
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.bootstrap import Resampling, percentile_interval, replicates
from ltcore.reporting.evaluation import evaluate
from ltcore.reporting.scores import score_images
from ltcore.reporting.study import compare
from tests.report_runs import COUNTS, LABEL, VIEWS, Offered, run_of, shuffled, with_test

EVERYTHING = Analysis(
    metrics=tuple(METRICS), intervals=True, thresholds=(100, 20), priors=("tail", "train")
)


def offered_of(results, metric):
    metrics = evaluate(results, Analysis(offered=(metric,))).metrics
    return {view: dict(of_view.others) for view, of_view in metrics.items()}


@pytest.mark.parametrize("seed", range(3))
def test_every_digit_is_the_same_for_images_in_any_order(seed):
    results = run_of(skill=0.5)
    one, other = (evaluate(of, EVERYTHING) for of in (results, shuffled(results, seed)))
    assert one.metrics == other.metrics
    assert np.array_equal(one.correct, other.correct)
    assert one.images == other.images


def test_every_digit_is_the_same_for_a_views_indices_in_any_order():
    results = run_of(ids="test/{:03d}", skill=0.5)
    rng = np.random.default_rng(0)
    other = with_test(results, views={view: rng.permutation(of) for view, of in VIEWS.items()})
    assert evaluate(results, EVERYTHING).metrics == evaluate(other, EVERYTHING).metrics


def test_every_number_is_finite_or_none():
    for of_view in evaluate(run_of(), EVERYTHING).metrics.values():
        numbers = of_view.to_record().values()
        assert all(number is None or math.isfinite(number) for number in numbers)


@pytest.mark.parametrize("view", VIEWS)
def test_an_interval_is_that_of_the_views_bootstrap(view):
    results, indices = run_of(ids="test/{:03d}"), VIEWS[view]
    values = replicates(Resampling(LABEL[indices]), "nll", score_images(results.test), indices)
    found = evaluate(results, Analysis(metrics=("nll",), intervals=True)).metrics[view]
    assert found.interval("nll") == percentile_interval(values)
    assert found.interval("nll").low < found.nll < found.interval("nll").high


def test_intervals_are_those_of_the_metrics_that_were_asked_for():
    asked = Analysis(metrics=("top1", "f1_macro"), intervals=True)
    assert set(evaluate(run_of(), asked).metrics["tail"].intervals) == {"f1_macro"}
    without = Analysis(metrics=("top1", "f1_macro"))
    assert evaluate(run_of(), without).metrics["tail"].intervals == {}


def test_top1_keeps_its_closed_interval_where_others_are_bootstrapped():
    plain = evaluate(run_of()).metrics["balanced"]
    assert evaluate(run_of(), EVERYTHING).metrics["balanced"].interval("top1") == (
        plain.top1_low,
        plain.top1_high,
    )


def test_images_that_runs_share_are_kept_once():
    known = {}
    one = evaluate(run_of("focal"), known_images=known)
    other = evaluate(shuffled(run_of("ldam")), known_images=known)
    assert one.images is other.images
    assert evaluate(run_of(ids="other/{}"), known_images=known).images is not one.images


@pytest.mark.parametrize(
    ("other", "paired"),
    [
        ({"views": {"tail": np.arange(3)}}, True),
        ({"ids": "other/{}"}, False),
        ({"label": LABEL[::-1]}, False),
    ],
)
def test_runs_are_paired_by_ids_and_labels_and_share_images_by_views_too(other, paired):
    one, two = evaluate(run_of()).images, evaluate(run_of(**other)).images
    assert (one.pairing == two.pairing) is paired
    assert one != two


def test_published_accuracies_give_top1_of_the_files_views_alone():
    published = run_of(origin="accuracies", views={**VIEWS, "few": np.arange(80, 120)})
    asked = replace(EVERYTHING, offered=(Offered(gives=1.0),))
    found, full = (
        evaluate(results, asked).metrics for results in (published, replace(published, origin=None))
    )
    for view in ("balanced", "tail"):
        of_view = full[view]
        assert found[view] == Metrics(of_view.n, of_view.top1, of_view.top1_low, of_view.top1_high)
    for view in asked.asked_views:
        assert found[view] == Metrics(full[view].n)


def test_a_plugins_metric_is_computed_of_each_view_that_has_images():
    others = offered_of(run_of(), Offered(gives=len))
    assert others == {
        "balanced": {"offered": 120.0},
        "long_tailed": {"offered": 60.0},
        "head": {"offered": 40.0},
        "middle": {},
        "tail": {"offered": 10.0},
    }


def test_a_plugins_metric_is_given_a_views_logits_labels_and_class_counts():
    results, seen = run_of(ids="test/{:03d}"), []
    offered_of(results, Offered(gives=0.5, seen=seen))
    logits, labels, class_counts = seen[-1]
    assert np.array_equal(logits, results.test.logits[VIEWS["tail"]])
    assert labels.tolist() == LABEL[VIEWS["tail"]].tolist()
    assert class_counts.tolist() == COUNTS.tolist()


@pytest.mark.parametrize(("given", "value"), [(None, None), (0.0, 0.0), (np.float32(0.5), 0.5)])
def test_a_plugins_metric_may_give_a_number_or_none(given, value):
    assert offered_of(run_of(), Offered(gives=given))["tail"] == {"offered": value}


def test_a_plugins_metric_is_averaged_over_seeds_as_others_are():
    runs = [run_of(seed=seed) for seed in (1, 2)]
    metric = Offered(gives=lambda logits: float(logits.max()))
    comparison = compare(runs, Analysis(offered=(metric,)))
    (cell,) = comparison.settings[0].cells.values()
    values = [run.test.logits.max().astype(float) for run in runs]
    assert cell.means["balanced"]["offered"].mean == pytest.approx(np.mean(values))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (ZeroDivisionError("by nothing"), "failed on {}: ZeroDivisionError: by nothing"),
        ("much", "failed on {}: ValueError: could not convert string to float: 'much'"),
        (math.nan, "gave nan for {}; it must give a finite number or None"),
        (-math.inf, "gave -inf for {}; it must give a finite number or None"),
    ],
)
@pytest.mark.parametrize("path", [None, Path("folder/run.h5")])
def test_a_plugins_metric_that_fails_is_named_with_the_run(given, told, path):
    results = run_of(path=path)
    with pytest.raises(PluginError) as caught:
        compare([results], Analysis(offered=(Offered(gives=given),)))
    where = path or "digits_lt-resnet-focal-s1"
    assert str(caught.value) == f"the metric 'offered' {told.format(where)}"


def test_without_every_metric_top1_is_the_same_and_nothing_else_is_computed():
    whole = evaluate(run_of()).metrics
    quick = evaluate(run_of(), Analysis(every_metric=False)).metrics
    assert list(quick) == list(whole)
    for view, metrics in quick.items():
        ours, theirs = metrics.to_record(), whole[view].to_record()
        shared = {"n", "top1", "top1_low", "top1_high"}
        assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}
        assert all(value is None for name, value in ours.items() if name not in shared)


def test_without_every_metric_a_named_one_is_computed():
    quick = evaluate(run_of(), Analysis(metrics=("ece",), every_metric=False)).metrics
    assert quick == evaluate(run_of(), Analysis(metrics=("ece",))).metrics


def test_without_every_metric_a_logit_that_is_not_finite_is_refused():
    run = run_of()
    logits = run.test.logits.copy()
    logits[3, 0] = np.nan
    broken = replace(run, test=replace(run.test, logits=logits))
    with pytest.raises(NonFiniteError, match="a test logit is NaN or infinite"):
        evaluate(broken, Analysis(every_metric=False))
