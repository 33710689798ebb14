"""Adjusted logits against naive searches and scipy, and that no half sees its own labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from ltcore.comparison import Adjustment
from ltcore.predictions import Predictions
from ltcore.reporting.adjustment import (
    TAUS,
    NotAdjustableError,
    adjusted,
    best_tau,
    best_temperature,
)
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.study import compare
from ltcore.results_files import write_results
from tests.report_runs import COUNTS, LABEL, K, run_of, shuffled

LOG_PRIOR = np.log(COUNTS / COUNTS.sum())
BOTH = Analysis(sweep_tau=True, temperature=True)


def naive_tau(logits, label):
    """The tau of the highest mean recall: the first of equal ones."""
    best, best_accuracy = None, -1.0
    for tau in TAUS:
        guess = (logits.astype(float) - tau * LOG_PRIOR).argmax(axis=1)
        accuracy = np.mean([np.mean(guess[label == k] == k) for k in sorted(set(label))])
        if accuracy > best_accuracy + 1e-12:
            best, best_accuracy = tau, accuracy
    return best


def nll(logits, label, temperature):
    log_p = log_softmax(logits.astype(float) / temperature, axis=1)
    return -np.mean(log_p[np.arange(len(label)), label])


def scipys_temperature(logits, label):
    found = minimize_scalar(
        lambda log_t: nll(logits, label, np.exp(log_t)),
        bounds=(np.log(0.01), np.log(100)),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(np.exp(found.x))


@pytest.mark.parametrize("tau", [1.0, 0.5, -0.3, 0.0])
def test_logit_adjustment_takes_tau_times_the_log_prior_from_the_logits(tau):
    results = run_of(val=False)
    found, adjustment = adjusted(results, Analysis(logit_adjust=tau))
    expected = results.test.logits.astype(float) - tau * LOG_PRIOR
    assert found.test.logits == pytest.approx(expected, abs=1e-5)
    assert found.test.logits.dtype == np.float32
    assert np.array_equal(found.test.prediction, found.test.logits.argmax(axis=1))
    assert adjustment == Adjustment(f"+LA({tau:g})", (tau,), None)


def test_logit_adjustment_helps_the_tail_of_a_model_that_leans_to_the_head():
    runs = compare([run_of()], Analysis(logit_adjust=1.0)).runs
    plain, shifted = (run.metrics["tail"].top1 for run in runs)
    assert [run.loss for run in runs] == ["focal", "focal +LA(1)"]
    assert shifted > plain


@pytest.mark.parametrize("draw", range(6))
def test_the_swept_tau_has_the_best_balanced_accuracy_on_validation(draw):
    results = run_of(draw=draw, skill=0.6)
    found, adjustment = adjusted(results, Analysis(sweep_tau=True))
    (tau,) = adjustment.tau
    assert tau == naive_tau(results.val.logits, results.val.label)
    expected = results.test.logits - tau * LOG_PRIOR
    assert found.test.logits == pytest.approx(expected, abs=1e-5)
    assert adjustment.label == "+LA(val)"


def test_the_sweep_looks_at_balanced_accuracy_not_at_accuracy():
    # Class 0 loses both its images above tau 1, class 1 wins its only one.
    log_prior = np.log([0.9, 0.1])
    gap = 2 * (log_prior[0] - log_prior[1])
    logits = np.array([[gap, 0.0], [gap, 0.0], [0.5 * gap, 0.0]], dtype=np.float32)
    assert best_tau(logits, np.array([0, 0, 1]), log_prior) == pytest.approx(1.05)
    skewed = np.array([[0.9 * gap, 0.0], [0.4 * gap, 0.0], [0.4 * gap, 0.0], [0.5 * gap, 0.0]])
    tau = best_tau(skewed.astype(np.float32), np.array([0, 0, 0, 1]), log_prior)
    assert tau == pytest.approx(1.05)  # 1/3 and 1 over 1 and 0, though 2 of 4 under 3 of 4


def test_of_equally_good_taus_the_smallest_is_taken():
    logits = 100 * np.eye(K, dtype=np.float32)[LABEL]
    assert best_tau(logits, LABEL, LOG_PRIOR) == 0.0


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("draw", range(3))
def test_the_temperature_is_the_one_that_scipy_finds(scale, draw):
    results = run_of(draw=draw, skill=0.5)
    logits, label = results.val.logits * np.float32(scale), results.val.label
    found = best_temperature(logits, label)
    assert found == pytest.approx(scipys_temperature(logits, label), rel=1e-5)
    # Scipy looks at the NLL, which is flat at its minimum: the slope tells more.
    share = np.exp(log_softmax(logits.astype(float) / found, axis=1))
    slope = (share * logits).sum(axis=1) - logits[np.arange(len(label)), label]
    assert np.mean(slope) == pytest.approx(0.0, abs=1e-6 * scale)


@pytest.mark.parametrize(
    ("sign", "low", "high"), [(1.0, 0.01, 0.05), (-1.0, 100.0 * (1 - 1e-6), 100.0)]
)
def test_a_temperature_stays_between_its_bounds(sign, low, high):
    logits = (sign * np.eye(K)[LABEL]).astype(np.float32)  # always right, always wrong
    assert low * (1 - 1e-6) <= best_temperature(logits, LABEL) <= high


def test_a_temperature_of_logits_beyond_exp_is_finite():
    logits = (1e4 * np.random.default_rng(0).normal(size=(len(LABEL), K))).astype(np.float32)
    assert best_temperature(logits, LABEL) == pytest.approx(100.0, rel=1e-6)


def test_a_temperature_does_not_depend_on_how_many_images_are_worked_on_together(monkeypatch):
    results = run_of(skill=0.5)
    whole = best_temperature(results.val.logits, results.val.label)
    monkeypatch.setattr("ltcore.reporting.adjustment._BLOCK", 7 * K)
    assert best_temperature(results.val.logits, results.val.label) == pytest.approx(whole, rel=1e-9)


def test_the_temperature_divides_the_logits_and_leaves_the_predictions():
    results = run_of(skill=0.5)
    found, adjustment = adjusted(results, Analysis(temperature=True))
    (temperature,) = adjustment.temperature
    assert temperature == best_temperature(results.val.logits, results.val.label)
    for one, other in ((found.test, results.test), (found.val, results.val)):
        assert one.logits == pytest.approx(other.logits / temperature, rel=1e-6)
        assert np.array_equal(one.prediction, other.prediction)
    assert (adjustment.label, adjustment.tau) == ("+T(val)", None)


def test_temperature_lowers_the_validation_nll_of_an_over_confident_model():
    results = run_of(skill=0.5)
    val = replace(results.val, logits=results.val.logits * np.float32(5))
    found, _ = adjusted(replace(results, val=val), Analysis(temperature=True))
    assert nll(found.val.logits, val.label, 1.0) < nll(val.logits, val.label, 1.0) - 0.5


@pytest.mark.parametrize("asked", [{"sweep_tau": True}, {"logit_adjust": 0.7}])
def test_the_temperature_is_fitted_on_logits_that_are_shifted_before(asked):
    results = run_of(skill=0.6)
    shifted, _ = adjusted(results, Analysis(**asked))
    found, adjustment = adjusted(results, Analysis(**asked, temperature=True))
    (temperature,) = adjustment.temperature
    expected = scipys_temperature(shifted.val.logits, shifted.val.label)
    assert temperature == pytest.approx(expected, rel=1e-5)
    assert found.test.logits == pytest.approx(shifted.test.logits / temperature, abs=1e-5)
    assert adjustment.label.endswith(")+T(val)")


def test_labels_ids_and_views_stay():
    results = run_of()
    found, _ = adjusted(results, BOTH)
    for one, other in ((found.test, results.test), (found.val, results.val)):
        assert one.views == other.views
        assert np.array_equal(one.id, other.id)
        assert np.array_equal(one.label, other.label)


def test_the_unadjusted_row_stays_beside_the_adjusted_one():
    plain = compare([run_of()])
    both = compare([run_of()], BOTH)
    assert [run.loss for run in both.runs] == ["focal", "focal +LA(val)+T(val)"]
    assert both.runs[0] == plain.runs[0]
    assert both.runs[1].adjustment.tau is not None
    assert not both.warnings


def warnings_of(results, analysis=BOTH):
    comparison = compare([results], analysis)
    return comparison.warnings, [run.loss for run in comparison.runs]


@pytest.mark.parametrize("asked", [{"sweep_tau": True}, {"logit_adjust": 1.0}])
def test_a_loss_that_makes_up_for_the_prior_is_warned_of(asked, tmp_path):
    results = run_of("balanced_softmax", trained_prior="uniform")
    path = write_results(results, tmp_path / "run.h5")
    warnings, losses = warnings_of(path, Analysis(**asked))
    assert warnings == (
        (
            f"{path}: balanced_softmax makes up for the class prior already; adjusting its logits "
            "does so twice"
        ),
    )
    assert len(losses) == 2
    assert warnings_of(path, Analysis(temperature=True))[0] == ()
    assert warnings_of(path, Analysis(logit_adjust=0.0))[0] == ()


@pytest.mark.parametrize(
    ("change", "asked", "told"),
    [
        ({"val": False}, {"sweep_tau": True}, "it has no validation logits to choose on"),
        ({"val": False}, {"temperature": True}, "it has no validation logits to choose on"),
        (
            {"counts": np.array([9, 7, 0, 4, 0, 1])},
            {"logit_adjust": 1.0},
            "its class 'c' has no training image, so no log prior",
        ),
        (
            {"origin": "accuracies"},
            {"logit_adjust": 1.0},
            "published accuracies have no logits to adjust",
        ),
        (
            {"label": np.arange(K), "views": {}, "val": False, "val_is_test": True},
            {"temperature": True},
            "its test images, one of each class, cannot be halved",
        ),
        ({}, {"logit_adjust": 1e39}, "its logits would be too large for float32"),
    ],
)
def test_a_run_that_cannot_be_adjusted_is_named_and_stays_as_it_is(change, asked, told, tmp_path):
    path = write_results(run_of(**change), tmp_path / "run.h5")
    warnings, losses = warnings_of(path, Analysis(**asked))
    assert warnings == (f"{path}: not adjusted: {told}",)
    assert losses == ["focal"]
    with pytest.raises(NotAdjustableError) as caught:
        adjusted(run_of(**change), Analysis(**asked))
    assert str(caught.value) == told


def test_class_counts_that_add_up_beyond_64_bits_have_a_prior():
    found = adjusted(run_of(counts=np.full(K, 2**62)), Analysis(logit_adjust=1.0))[0]
    expected = run_of(counts=np.full(K, 2**62)).test.logits + np.float32(np.log(K))
    assert found.test.logits == pytest.approx(expected, abs=1e-5)


def test_a_run_with_an_empty_class_still_takes_a_temperature():
    results = run_of(counts=np.array([9, 7, 0, 4, 0, 1]))
    assert warnings_of(results, Analysis(temperature=True)) == ((), ["focal", "focal +T(val)"])


@pytest.mark.parametrize("seed", range(5))
def test_every_digit_is_the_same_for_images_in_any_order(seed):
    results = run_of(skill=0.6, draw=seed)
    one, other = (compare([of], BOTH).runs[1] for of in (results, shuffled(results, seed)))
    assert one.adjustment == other.adjustment
    assert one.metrics == other.metrics


def test_gains_and_tests_hold_the_adjusted_rows_too():
    (setting,) = compare([run_of("cross_entropy")], Analysis(logit_adjust=1.0)).settings
    (gain,) = (gain for gain in setting.gains if gain.view == "balanced")
    assert (gain.loss, gain.against) == ("cross_entropy +LA(1)", "cross_entropy")
    assert {pair.first for pair in setting.pairs} == {"cross_entropy +LA(1)"}


def test_validation_images_without_a_class_leave_it_out_of_the_sweep():
    val = run_of(skill=0.6).val
    some = val.label != 3
    part = Predictions.from_logits(val.logits[some], val.label[some], val.id[some])
    assert best_tau(part.logits, part.label, LOG_PRIOR) == naive_tau(part.logits, part.label)
