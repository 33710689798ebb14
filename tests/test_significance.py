"""Exact p-values against scipy and exact fractions; Holm's correction against its definition."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binomtest

from ltcore.reporting.significance import exact_mcnemar, holm


@pytest.mark.parametrize("first", [0, 1, 2, 7, 30, 61, 200, 1500, 4000])
@pytest.mark.parametrize("second", [0, 1, 3, 7, 31, 60, 220, 1600, 4100])
def test_exact_mcnemar_is_scipys_binomial_test(first, second):
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert exact_mcnemar(first, second) == pytest.approx(expected, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0), (2, 9), (40, 13), (600, 500)])
def test_exact_mcnemar_is_the_exact_fraction_rounded_once(first, second):
    n = first + second
    fewer = sum(math.comb(n, i) for i in range(min(first, second) + 1))
    assert exact_mcnemar(first, second) == float(min(1, 2 * Fraction(fewer, 2**n)))


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_exact_mcnemar_of_equal_counts_is_one(count):
    assert exact_mcnemar(count, count) == 1.0


def test_exact_mcnemar_does_not_depend_on_which_run_is_first():
    assert exact_mcnemar(12, 30) == exact_mcnemar(30, 12)


def test_exact_mcnemar_of_a_hopeless_difference_is_zero():
    assert exact_mcnemar(0, 5000) == 0.0


def test_holm_of_a_worked_example():
    # 4 * 0.005, 3 * 0.01, 2 * 0.03, and for 0.04 not less than the one before.
    found = holm([0.01, 0.04, 0.03, 0.005])
    assert found == pytest.approx((0.03, 0.06, 0.06, 0.02), abs=1e-15)


def test_holm_rejects_what_the_step_down_procedure_rejects():
    rng = np.random.default_rng(0)
    for m in range(1, 40):
        p_values = (rng.random(m) ** 4).tolist()
        adjusted = holm(p_values)
        for level in (0.01, 0.05, 0.2):
            rejected = set()
            for step, index in enumerate(np.argsort(p_values).tolist()):
                if p_values[index] > level / (m - step):
                    break
                rejected.add(index)
            assert {i for i, p in enumerate(adjusted) if p <= level} == rejected


def test_holm_never_exceeds_one():
    assert holm([0.6, 0.9, 1.0]) == (1.0, 1.0, 1.0)


def test_holm_leaves_one_test_as_it_is():
    assert holm([0.031]) == (0.031,)


def test_holm_of_no_test_is_empty():
    assert holm([]) == ()


def test_holm_treats_equal_p_values_alike():
    assert holm([0.02, 0.5, 0.02]) == pytest.approx((0.06, 0.5, 0.06))
