"""Bins of equal width and of equally many images, and what depends on no order of the images."""

from __future__ import annotations

import numpy as np
import pytest

from ltcore.reporting.calibration import (
    adaptive_calibration_error,
    adaptive_edges,
    bin_of,
    calibration_error,
    reliability,
)


def random_images(n=1000, seed=0):
    """Confidences, of which several are equal, and correctness that falls short of them."""
    rng = np.random.default_rng(seed)
    confidence = rng.integers(1, 201, size=n) / 200
    return confidence, rng.random(n) < 0.9 * confidence


def test_a_bin_holds_its_right_edge():
    assert bin_of(np.array([1e-9, 1 / 15, np.nextafter(1 / 15, 1), 1.0])).tolist() == [1, 1, 2, 15]


def test_reliability_has_the_means_of_each_bin():
    confidence, correct = random_images()
    found = reliability(confidence, correct)
    for index in range(15):
        inside = (confidence > index / 15) & (confidence <= (index + 1) / 15)
        assert found.images[index] == inside.sum()
        assert found.confidence[index] == pytest.approx(confidence[inside].mean(), abs=1e-12)
        assert found.accuracy[index] == pytest.approx(correct[inside].mean(), abs=1e-12)


def test_reliability_adds_up_to_the_calibration_error():
    confidence, correct = random_images()
    found = reliability(confidence, correct)
    gaps = np.abs(found.accuracy - found.confidence)
    expected = calibration_error(confidence, correct)
    assert found.images @ gaps / len(correct) == pytest.approx(expected, abs=1e-12)


def test_reliability_is_nan_in_an_empty_bin():
    found = reliability(np.array([0.95, 1.0]), np.array([True, False]))
    assert found.images.tolist() == [0] * 14 + [2]
    assert np.isnan(found.confidence).tolist() == [True] * 14 + [False]
    assert np.isnan(found.accuracy).tolist() == [True] * 14 + [False]
    assert found.accuracy[14] == 0.5


def test_reliability_of_no_image_has_empty_bins():
    found = reliability(np.empty(0), np.empty(0, dtype=np.bool_))
    assert found.images.tolist() == [0] * 15
    assert np.isnan(found.accuracy).all()


def test_adaptive_bins_are_those_of_numpys_split():
    for n in range(1, 100):
        sizes = [len(part) for part in np.array_split(np.arange(n), 15) if len(part)]
        assert np.diff(adaptive_edges(n)).tolist() == sizes
        assert adaptive_edges(n)[0] == 0


def test_adaptive_error_of_up_to_fifteen_images_is_their_mean_gap():
    confidence, correct = np.array([0.9, 0.3, 0.6]), np.array([True, True, False])
    assert adaptive_calibration_error(confidence, correct) == pytest.approx((0.1 + 0.7 + 0.6) / 3)


def test_adaptive_error_of_equal_confidences_is_that_of_one_bin():
    confidence, correct = np.full(100, 0.75), np.arange(100) < 60
    assert adaptive_calibration_error(confidence, correct) == pytest.approx(0.15, abs=1e-12)


def test_adaptive_error_does_not_depend_on_the_order_of_equal_confidences():
    confidence, correct = random_images()
    found = set()
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(correct))
        found.add(adaptive_calibration_error(confidence[order], correct[order]))
    assert len(found) == 1


def test_adaptive_error_sees_what_one_wide_bin_hides():
    # Both halves lie in the bin from 14/15 to 1, where their gaps cancel.
    confidence = np.repeat([0.95, 0.99], 150)
    correct = np.repeat([True, False], 150)
    assert calibration_error(confidence, correct) == pytest.approx(0.47, abs=1e-12)
    assert adaptive_calibration_error(confidence, correct) == pytest.approx(
        (7 * 20 * 0.05 + 7 * 20 * 0.99 + 10 * abs(0.05 - 0.99)) / 300, abs=1e-12
    )
