"""Ensembles against a naive mean of probabilities in float64, and what is refused or warned of."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from ltcore.errors import SpecError
from ltcore.predictions import Predictions
from ltcore.reporting.adjustment import adjusted
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.study import compare
from ltcore.results_files import write_results
from tests.report_runs import LABEL, VIEWS, K, guessing, run_of, shuffled, with_test

ENSEMBLE = Analysis(ensemble=True)


def three(**more):
    return [run_of(loss, skill=0.5, **more) for loss in ("cross_entropy", "focal", "ldam")]


def naive_mean(runs):
    return sum(softmax(run.test.logits.astype(np.float64), axis=1) for run in runs) / len(runs)


def ensemble_of(runs, analysis=ENSEMBLE):
    return compare(runs, analysis).ensemble


def with_val(results, hits):
    """The same run with these many right of its validation images."""
    val = results.val
    right = np.arange(len(val.label)) < hits
    guess = np.where(right, val.label, (val.label + 1) % K)
    logits = np.eye(K, dtype=np.float32)[guess]
    return replace(results, val=Predictions.from_logits(logits, val.label, val.id))


def test_an_ensemble_is_the_mean_of_the_probabilities():
    runs = three()
    mean = naive_mean(runs)
    found = ensemble_of(runs).metrics
    of_label = mean[np.arange(len(LABEL)), LABEL]
    right = mean.argmax(axis=1) == LABEL
    for view, indices in (("balanced", np.arange(len(LABEL))), *VIEWS.items()):
        assert found[view].top1 == pytest.approx(np.mean(right[indices]), abs=1e-12)
        assert found[view].nll == pytest.approx(-np.mean(np.log(of_label[indices])), abs=1e-6)
    brier = np.square(mean - np.eye(K)[LABEL]).sum(axis=1)
    assert found["balanced"].brier == pytest.approx(np.mean(brier), abs=1e-6)


def test_it_averages_probabilities_not_logits():
    # Two are unsure of class 1, one is sure of class 0: its logits would outweigh them.
    label = np.zeros(len(LABEL), dtype=np.int64)
    logits = [np.zeros((len(LABEL), K), dtype=np.float32) for _ in range(3)]
    logits[0][:, 0] = 20.0
    logits[1][:, 1] = logits[2][:, 1] = 5.0
    runs = [
        with_test(run, logits=of_run, label=label)
        for run, of_run in zip(three(), logits, strict=True)
    ]
    assert np.sum(logits, axis=0).argmax(axis=1).max() == 0
    assert ensemble_of(runs).metrics["all"].top1 == 0.0


def test_sure_members_give_finite_numbers():
    runs = [guessing(run, run.test.prediction) for run in three()]
    runs = [with_test(run, logits=run.test.logits * np.float32(1e4)) for run in runs]
    found = ensemble_of(runs).metrics["balanced"]
    assert found.top1 is not None
    assert np.isfinite(found.nll)


def test_the_gain_is_over_the_member_that_is_best_on_validation():
    runs = [with_val(run, hits) for run, hits in zip(three(), (30, 40, 35), strict=True)]
    ensemble = ensemble_of(runs, Analysis(ensemble=True, intervals=True))
    assert ensemble.best.loss == "focal"
    right = naive_mean(runs).argmax(axis=1) == LABEL
    member = runs[1].test.prediction == LABEL
    assert [gain.view for gain in ensemble.gains] == ["balanced", "long_tailed", "head", "tail"]
    for gain in ensemble.gains:
        indices = VIEWS.get(gain.view, np.arange(len(LABEL)))
        assert gain.only_first == np.sum(right[indices] & ~member[indices])
        assert gain.only_second == np.sum(member[indices] & ~right[indices])
        difference = np.mean(right[indices]) - np.mean(member[indices])
        assert gain.difference == pytest.approx(difference, abs=1e-12)
        assert gain.interval.low <= gain.difference <= gain.interval.high
        assert (gain.first, gain.second, gain.family) == ("ensemble", "focal", 1)


def test_without_intervals_a_gain_has_its_exact_test_alone():
    gain = ensemble_of(three()).gains[0]
    assert gain.interval is None
    assert 0 < gain.p <= 1


def test_of_members_equally_good_on_validation_the_first_is_taken():
    runs = [with_val(run, 30) for run in three()]
    for order in itertools.permutations(runs):
        assert ensemble_of(order).best.loss == "cross_entropy"


def test_a_member_without_validation_logits_leaves_no_best_one():
    runs = [*three(), run_of("lade", val=False)]
    comparison = compare(runs, ENSEMBLE)
    assert comparison.ensemble.best is None
    assert comparison.ensemble.gains == ()
    assert comparison.warnings == (
        "the ensemble is compared with no member: not all have validation logits",
    )
    assert len(comparison.ensemble.members) == 4


def test_members_trained_for_other_priors_are_warned_of(tmp_path):
    paths = [
        write_results(run_of("ldam", trained_prior="uniform"), tmp_path / "uniform.h5"),
        write_results(run_of("focal"), tmp_path / "train.h5"),
    ]
    assert compare(paths, ENSEMBLE).warnings == (
        (
            f"the ensemble mixes logits for different class priors: {paths[1]} is trained for the "
            f"train prior, {paths[0]} for the uniform one. Adjust them first, or average alike."
        ),
    )


def test_a_member_of_unknown_prior_is_warned_of_among_others():
    (warning,) = compare([run_of(), run_of("ldam", trained_prior=None)], ENSEMBLE).warnings
    assert "digits_lt-resnet-ldam-s1 for the unknown one" in warning


def test_members_of_one_prior_need_no_warning():
    assert compare(three(), ENSEMBLE).warnings == ()


def refusal(runs, tmp_path):
    paths = [write_results(run, tmp_path / f"{index}.h5") for index, run in enumerate(runs)]
    with pytest.raises(SpecError) as caught:
        compare(paths, ENSEMBLE)
    return str(caught.value)


@pytest.mark.parametrize(
    "other",
    [
        {"ids": "other/{}"},
        {"label": LABEL[::-1]},
        {"dataset": "letters", "ids": "other/{}"},
    ],
)
def test_members_of_other_images_are_refused_with_both_files(other, tmp_path):
    message = refusal([run_of("focal"), run_of("ldam", **other)], tmp_path)
    one, two = sorted(str(tmp_path / name) for name in ("0.h5", "1.h5"))
    assert message in {
        f"{a} and {b} make no ensemble: their test images, labels or classes differ"
        for a, b in ((one, two), (two, one))
    }


def test_members_of_other_classes_are_refused(tmp_path):
    other = run_of("ldam")
    other = replace(other, classes=replace(other.classes, names=tuple("uvwxyz")))
    assert "their test images, labels or classes differ" in refusal([run_of(), other], tmp_path)


@pytest.mark.parametrize("place", [0, 1])
def test_published_accuracies_are_refused_with_the_file(place, tmp_path):
    runs = [run_of(loss) for loss in ("focal", "ldam")]
    runs[place] = replace(runs[place], origin="accuracies")
    assert refusal(runs, tmp_path) == (
        f"{tmp_path / f'{place}.h5'}: published accuracies have no probabilities to average"
    )


@pytest.mark.parametrize("number", [0, 1])
def test_an_ensemble_takes_two_runs(number):
    with pytest.raises(SpecError) as caught:
        compare(three()[:number], ENSEMBLE)
    assert str(caught.value) == f"ensemble: it takes two runs or more, there are {number}"


def test_an_ensemble_depends_on_no_order_of_runs_or_images():
    runs = three()
    analysis = Analysis(ensemble=True, intervals=True, metrics=("nll",))
    one = ensemble_of(runs, analysis)
    for seed, order in enumerate(itertools.permutations(runs)):
        other = ensemble_of([shuffled(run, seed) for run in order], analysis)
        assert (other.metrics, other.gains, other.best) == (one.metrics, one.gains, one.best)
        assert other.members == one.members


def test_files_are_read_again_for_it(tmp_path):
    runs = three()
    paths = [write_results(run, tmp_path / f"{run.name}.h5") for run in runs]
    assert ensemble_of(paths).metrics == ensemble_of(runs).metrics


def test_adjusted_members_are_averaged_where_adjusting_is_asked_for():
    runs = three()
    analysis = Analysis(ensemble=True, logit_adjust=1.0)
    ensemble = ensemble_of(runs, analysis)
    assert [run.loss for run in ensemble.members] == [
        "cross_entropy +LA(1)",
        "focal +LA(1)",
        "ldam +LA(1)",
    ]
    shifted = [adjusted(run, analysis)[0] for run in runs]
    assert ensemble.metrics == ensemble_of(shifted).metrics
    assert ensemble.metrics["tail"].top1 != ensemble_of(runs).metrics["tail"].top1


def test_views_that_hold_other_images_in_other_members_are_left_out():
    balanced = run_of(
        "ldam", counts=np.full(K, 9), dataset="digits", views={**VIEWS, "head": np.arange(9)}
    )
    for runs in ([run_of(), balanced], [balanced, run_of()]):
        ensemble = ensemble_of(runs, Analysis(ensemble=True, thresholds=(100, 20), intervals=True))
        views = {view for view, of_view in ensemble.metrics.items() if of_view.n}
        assert views == {"balanced", "long_tailed", "tail"}
        assert {gain.view for gain in ensemble.gains} == views
