"""Where validation images are the test images: each half takes what the other chose."""

from __future__ import annotations

import numpy as np
import pytest

from ltcore.reporting.adjustment import adjusted, best_tau, best_temperature, halves
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.study import compare
from ltcore.results_files import write_results
from tests.report_runs import COUNTS, K, run_of, shuffled, with_test

LOG_PRIOR = np.log(COUNTS / COUNTS.sum())
BOTH = Analysis(sweep_tau=True, temperature=True)


def on_test(**more):
    """A run whose validation images are its test images."""
    return run_of(val=False, val_is_test=True, **more)


def test_halves_share_each_class_and_depend_on_no_order():
    label = np.repeat(np.arange(4), [1, 2, 5, 8])
    ids = np.array([f"image {index}" for index in range(len(label))])
    second = halves(ids, label)
    assert np.bincount(label[~second], minlength=4).tolist() == [1, 1, 3, 4]
    order = np.random.default_rng(0).permutation(len(label))
    assert np.array_equal(halves(ids[order], label[order]), second[order])
    assert second.tolist() != sorted(second.tolist())


@pytest.mark.parametrize("asked", [{"sweep_tau": True}, {"temperature": True}])
def test_where_val_is_test_each_half_takes_what_the_other_chose(asked):
    results = on_test(skill=0.6)
    found, adjustment = adjusted(results, Analysis(**asked))
    test = results.test
    second = halves(test.id, test.label)
    expected = np.empty_like(test.logits, dtype=float)
    for half, other in ((second, ~second), (~second, second)):
        if "temperature" in asked:
            temperature = best_temperature(test.logits[other], test.label[other])
            expected[half] = test.logits[half] / temperature
        else:
            tau = best_tau(test.logits[other], test.label[other], LOG_PRIOR)
            expected[half] = test.logits[half] - tau * LOG_PRIOR
    assert found.test.logits == pytest.approx(expected, abs=1e-4)
    assert adjustment.crossfitted
    chosen = adjustment.tau or adjustment.temperature
    assert len(chosen) == 2


def test_a_fixed_tau_stays_one_number_where_the_temperature_is_cross_fitted():
    _, adjustment = adjusted(on_test(), Analysis(logit_adjust=1.0, temperature=True))
    assert adjustment.tau == (1.0,)
    assert len(adjustment.temperature) == 2
    assert adjustment.label == "+LA(1)+T(val)"


def chosen_for_halves(results):
    """(tau, temperature) that the first and the second half of the test images take."""
    _, adjustment = adjusted(results, BOTH)
    return list(zip(adjustment.tau, adjustment.temperature, strict=True))


@pytest.mark.parametrize("half", [0, 1])
def test_the_logits_of_a_half_choose_nothing_for_itself(half):
    results = on_test(skill=0.6)
    test = results.test
    mine = halves(test.id, test.label) == bool(half)
    logits = test.logits.copy()
    logits[mine] = np.random.default_rng(0).normal(size=(mine.sum(), K))
    before, after = chosen_for_halves(results), chosen_for_halves(with_test(results, logits=logits))
    assert after[half] == before[half]
    assert after[1 - half][0] != before[1 - half][0]
    assert after[1 - half][1] != before[1 - half][1]


@pytest.mark.parametrize("half", [0, 1])
def test_the_labels_of_a_half_choose_nothing_for_itself(half):
    results = on_test(skill=0.6)
    test, label = results.test, results.test.label.copy()
    second = halves(test.id, label)
    rng = np.random.default_rng(0)
    for _ in range(2000):  # swaps that leave the halves, which are drawn by class, as they are
        one, other = rng.choice(np.flatnonzero(second == bool(half)), 2)
        swapped = label.copy()
        swapped[[one, other]] = label[[other, one]]
        label = swapped if np.array_equal(halves(test.id, swapped), second) else label
    assert np.count_nonzero(label != test.label) > 10
    before, after = chosen_for_halves(results), chosen_for_halves(with_test(results, label=label))
    assert after[half] == before[half]
    assert after[1 - half] != before[1 - half]


def test_cross_fitting_is_told_with_the_file(tmp_path):
    path = write_results(on_test(), tmp_path / "run.h5")
    comparison = compare([path], BOTH)
    assert comparison.warnings == (
        (
            f"{path}: validation images are the test images: what was chosen for each half of them "
            "was chosen on the other half"
        ),
    )
    assert [run.loss for run in comparison.runs] == ["focal", "focal +LA(val)+T(val)"]
    assert compare([path], Analysis(logit_adjust=1.0)).warnings == ()


@pytest.mark.parametrize("seed", range(5))
def test_every_digit_is_the_same_for_images_in_any_order(seed):
    results = on_test(skill=0.6, draw=seed)
    one, other = (compare([of], BOTH).runs[1] for of in (results, shuffled(results, seed)))
    assert one.adjustment == other.adjustment
    assert one.metrics == other.metrics
