"""Intervals in closed form against scipy and published examples."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.stats import binomtest, norm

from ltcore.measures import Interval
from ltcore.reporting.intervals import (
    Z_95,
    effective_sample_size,
    newcombe_interval,
    t_interval,
    t_quantile,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("successes", "n"),
    [(0, 1), (1, 1), (0, 38), (38, 38), (22, 38), (23, 38), (136, 169), (4162, 5000)],
)
def test_wilson_interval_is_scipys(successes, n):
    expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_interval_of_the_studys_best_tail():
    low, high = wilson_interval(23, 38)
    assert (round(low, 3), round(high, 3)) == (0.447, 0.744)


@pytest.mark.parametrize("n", [1, 3, 38, 5000])
def test_wilson_interval_never_leaves_the_unit_interval(n):
    assert wilson_interval(0, n).low == 0.0
    assert wilson_interval(n, n).high == 1.0
    assert all(
        0.0 <= low <= k / n <= high <= 1.0
        for k in (0, n // 2, n)
        for low, high in [wilson_interval(k, n)]
    )


def test_wilson_interval_of_weighted_images_lies_between_those_of_whole_numbers():
    low, high = wilson_interval(7.5, 20.25)
    assert wilson_interval(7, 20).low < low < wilson_interval(8, 20).low
    assert wilson_interval(7, 20).high < high < wilson_interval(8, 20).high


@pytest.mark.parametrize("successes", [1.25e-16, 1e-9, 20.25 - 1e-9, 20.24999999998726])
def test_wilson_interval_of_weighted_images_stays_in_the_unit_interval(successes):
    low, high = wilson_interval(successes, 20.25)
    assert 0.0 <= low < high <= 1.0


def test_wilson_interval_takes_another_quantile():
    expected = binomtest(7, 20).proportion_ci(0.99, method="wilson")
    found = wilson_interval(7, 20, z=float(norm.ppf(0.995)))
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_z_is_the_normal_quantile():
    assert norm.ppf(0.975) == pytest.approx(Z_95, abs=1e-15)


@pytest.mark.parametrize(
    ("hits", "n", "other_hits", "other_n", "low", "high"),
    [
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (6, 7, 2, 7, 0.0582, 0.8062),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (0, 10, 0, 10, -0.2775, 0.2775),
        (10, 10, 0, 20, 0.6791, 1.0000),
        (10, 10, 0, 10, 0.6075, 1.0000),
    ],
)
def test_newcombe_interval_is_that_of_his_table_two(hits, n, other_hits, other_n, low, high):
    found = newcombe_interval(hits / n, n, other_hits / other_n, other_n)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_newcombe_interval_of_the_swapped_shares_is_the_mirrored_one():
    low, high = newcombe_interval(0.6, 38, 0.45, 169)
    assert newcombe_interval(0.45, 169, 0.6, 38) == pytest.approx((-high, -low), abs=1e-15)


@pytest.mark.parametrize("df", range(1, 201))
def test_t_quantile_is_scipys(df):
    assert t_quantile(df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-10)


def test_t_quantile_takes_another_level():
    assert t_quantile(4, level=0.99) == pytest.approx(stats.t.ppf(0.995, 4), rel=1e-10)


@pytest.mark.parametrize("n", [2, 3, 5, 40])
def test_t_interval_is_scipys(n):
    values = np.random.default_rng(n).normal(0.7, 0.02, size=n).tolist()
    expected = stats.t.interval(0.95, n - 1, np.mean(values), stats.sem(values))
    assert t_interval(values) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("values", [[], [0.5]])
def test_fewer_than_two_values_have_no_t_interval(values):
    assert t_interval(values) is None


@pytest.mark.parametrize("n", range(2, 60))
def test_equal_values_have_a_t_interval_without_width(n):
    assert t_interval([0.1] * n) == Interval(0.1, 0.1)


def test_t_interval_does_not_depend_on_the_order():
    assert len({t_interval(order) for order in itertools.permutations([0.1, 0.2, 0.3, 0.7])}) == 1


def test_effective_sample_size_of_equal_weights_is_their_number():
    assert effective_sample_size(np.full(38, 0.25)) == 38.0


def test_effective_sample_size_of_one_weight_beside_nothing_is_one():
    assert effective_sample_size(np.array([0.0, 3.0, 0.0])) == 1.0


def test_effective_sample_size_is_kishs():
    assert effective_sample_size(np.array([1.0, 2.0, 3.0])) == pytest.approx(36 / 14)
