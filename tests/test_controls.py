"""Long-tailed settings against balanced-trained ones, and which of them are not compared."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from ltcore.offline import evaluate
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.study import compare
from ltcore.results_files import write_results
from tests.report_runs import LABEL, VIEWS, guessing, run_of, shuffled

WITH_INTERVALS = Analysis(metrics=("top1", "nll"), intervals=True)


def top1(results, view="balanced"):
    return evaluate(results)[view].top1


def balanced_run(loss="focal", backbone="resnet", **more):
    balanced = {"counts": np.full(6, 100), "dataset": "digits", "draw": 1}
    return run_of(loss, backbone, **(balanced | more))


def test_a_control_is_the_long_tailed_run_minus_the_balanced_trained_one():
    tail, balanced = run_of(skill=0.7), balanced_run()
    (control,) = compare([tail, balanced]).controls
    assert (control.setting, control.balanced) == ("long_tailed", "balanced")
    found = {d.view: d for d in control.differences}
    assert set(found) == {"balanced", "long_tailed", "head", "tail"}
    for view, difference in found.items():
        expected = top1(tail, view) - top1(balanced, view)
        assert difference.mean == pytest.approx(expected, abs=1e-15)
        assert (difference.loss, difference.against) == ("focal", "balanced")
        assert (difference.interval, difference.scope) == (None, None)


def test_a_control_of_one_seed_has_the_interval_of_the_two_models():
    tail, balanced = run_of(skill=0.7), balanced_run()
    (control,) = compare([tail, balanced], WITH_INTERVALS).controls
    # The same predictions as two losses of one setting: the images are drawn alike.
    as_loss = guessing(run_of("x"), balanced.test.prediction)
    (setting,) = compare([tail, as_loss], Analysis(baseline="x", intervals=True)).settings
    (gain,) = (gain for gain in setting.gains if gain.view == "balanced")
    found = {(d.view, d.metric): d for d in control.differences}
    assert found["balanced", "top1"].interval == gain.interval
    assert found["balanced", "top1"].scope == "models"
    assert found["tail", "nll"].interval.low < found["tail", "nll"].mean


def test_a_control_of_three_seeds_has_their_t_interval():
    runs = [run_of(seed=seed, skill=0.7) for seed in (1, 2, 3)]
    others = [balanced_run(seed=seed) for seed in (1, 2, 3)]
    (control,) = compare([*runs, *others]).controls
    difference = next(d for d in control.differences if d.view == "balanced")
    test = ttest_rel(list(map(top1, runs)), list(map(top1, others))).confidence_interval(0.95)
    assert difference.interval == pytest.approx((test.low, test.high), abs=1e-9)
    assert (difference.seeds, difference.scope) == (3, "seeds")


def test_controls_have_each_backbone_and_loss_that_both_settings_have():
    tail = [run_of(loss, of) for of in ("resnet", "vit") for loss in ("focal", "ldam")]
    balanced = [balanced_run("focal", "vit"), balanced_run("lade", "vit")]
    (control,) = compare([*tail, *balanced]).controls
    assert {(d.backbone, d.loss) for d in control.differences} == {("vit", "focal")}


def test_views_that_hold_other_images_in_the_two_settings_are_left_out():
    other = {**VIEWS, "head": np.arange(30)}
    (control,) = compare([run_of(), balanced_run(views=other)], WITH_INTERVALS).controls
    assert {d.view for d in control.differences} == {"balanced", "long_tailed", "tail"}


def test_groups_by_training_images_are_other_groups_in_another_training_set():
    (control,) = compare([run_of(), balanced_run()], Analysis(thresholds=(100, 20))).controls
    assert {d.view for d in control.differences}.isdisjoint({"many", "medium", "few"})


@pytest.mark.parametrize(
    "other", [{"ids": "other/{}"}, {"label": LABEL[::-1]}, {"ids": "test/{:03d}"}]
)
def test_settings_of_other_images_are_not_compared_and_both_files_are_named(other, tmp_path):
    tail = write_results(run_of(), tmp_path / "tail.h5")
    balanced = write_results(balanced_run(**other), tmp_path / "balanced.h5")
    comparison = compare([balanced, tail])
    assert comparison.controls == ()
    assert comparison.warnings == (
        f"{tail} and {balanced} are not compared: the ids or labels of their test images differ",
    )


@pytest.mark.parametrize(
    "other",
    [
        {"spec": {"training": {"epochs": 7}}},
        {"loss": "ldam"},
        {"counts": np.array([9, 8, 7, 6, 5, 4])},
    ],
)
def test_no_control_without_the_same_recipe_loss_and_balanced_training(other):
    comparison = compare([run_of(), balanced_run(**other)])
    assert comparison.controls == comparison.warnings == ()


def test_no_control_of_two_balanced_training_sets():
    comparison = compare([balanced_run(), balanced_run(counts=np.full(6, 50))])
    assert len(comparison.settings) == 2
    assert comparison.controls == ()


def test_a_control_of_published_accuracies_is_unpaired():
    (control,) = compare([run_of(), balanced_run(origin="accuracies")], WITH_INTERVALS).controls
    assert {(d.scope, d.metric) for d in control.differences} == {("unpaired", "top1")}


def test_controls_depend_on_no_order_of_runs_or_images():
    runs = [make(seed=seed) for make in (run_of, balanced_run) for seed in (1, 2, 3)]
    analysis = Analysis(metrics=("top1", "ece"), intervals=True)
    others = [shuffled(run, seed) for seed, run in enumerate(reversed(runs))]
    assert compare(others, analysis).controls == compare(runs, analysis).controls
