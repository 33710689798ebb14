"""Intervals, means and standard deviations against scipy, numpy and exact arithmetic."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from ltcore.reporting.statistics import (
    Z_95,
    mean,
    population_std,
    sample_std,
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
    assert wilson_interval(0, n)[0] == 0.0
    assert wilson_interval(n, n)[1] == 1.0
    assert all(
        0.0 <= low <= k / n <= high <= 1.0
        for k in (0, n // 2, n)
        for low, high in [wilson_interval(k, n)]
    )


def test_wilson_interval_takes_another_quantile():
    expected = binomtest(7, 20).proportion_ci(0.99, method="wilson")
    found = wilson_interval(7, 20, z=float(norm.ppf(0.995)))
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_z_is_the_normal_quantile():
    assert norm.ppf(0.975) == pytest.approx(Z_95, abs=1e-15)


def test_means_and_deviations_are_those_of_exact_arithmetic():
    values = np.random.default_rng(0).normal(size=40).tolist()
    assert mean(values) == pytest.approx(statistics.mean(values), abs=1e-15)
    assert population_std(values) == pytest.approx(statistics.pstdev(values), abs=1e-15)
    assert sample_std(values) == pytest.approx(statistics.stdev(values), abs=1e-15)


def test_means_and_deviations_do_not_depend_on_the_order():
    orders = list(itertools.permutations([0.1, 0.2, 0.3, 1e16, -1e16, 0.7]))
    for function in (mean, population_std, sample_std):
        assert len({function(order) for order in orders}) == 1


def test_one_value_has_a_population_deviation_of_zero_and_no_sample_deviation():
    assert population_std([0.5]) == 0.0
    assert sample_std([0.5]) is None
