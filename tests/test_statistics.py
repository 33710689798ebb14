"""Means and standard deviations against exact arithmetic."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import pytest

from ltcore.reporting.statistics import mean, population_std, sample_std


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
