"""Whether two runs differ by more than chance: exact p-values, and their correction for many tests.

Nothing here knows runs or images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

_APART = 64


def exact_mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p-value of two runs being right equally often on the same images.

    Only the images count that one run alone gets right. Were the runs equally good, each of these
    would fall to either with probability 1/2, so with n of them and ``k = min(only_first,
    only_second)``:

    ``p = min(1, 2 sum_{i=0..k} C(n, i) / 2**n)``

    Args:
        only_first: images that the first run alone gets right.
        only_second: images that the second run alone gets right.

    Returns:
        In [0, 1]: the exact sum, rounded once; 1 where no image tells the runs apart.

    Reference:
        McNemar: Note on the Sampling Error of the Difference Between Correlated Proportions or
        Percentages. Psychometrika 12, 1947.
    """
    n, k = only_first + only_second, min(only_first, only_second)
    if 2 * k == n:
        return 1.0
    # Of all 2**n ways, those of both tails: without what lies between them, or twice one tail.
    few = 3 * (k + 1) <= n
    both = 2 * _at_most(n, k) if few else (1 << n) - _between(n, k)
    return both / (1 << n)


def _at_most(n: int, k: int) -> int:
    """``sum_{i=0..k} C(n, i)``, of whole numbers without bound."""
    total, term = 0, 1
    for i in range(k + 1):
        total += term
        term = term * (n - i) // (i + 1)
    return total


def _between(n: int, k: int) -> int:
    """``sum_{i=k+1..n-k-1} C(n, i)``: from the middle outwards, as one half is like the other."""
    middle = _middle(n)
    total, term = 0, middle
    for i in range(n // 2, k, -1):
        total += term
        term = term * i // (n - i + 1)
    return 2 * total - (middle if n % 2 == 0 else 0)


@lru_cache(maxsize=1024)
def _middle(n: int) -> int:
    """The largest C(n, i), from that of a smaller n, as `comb` takes longer than all the rest."""
    start = n - n % _APART
    middle = _known_middle(start)
    for m in range(start + 1, n + 1):
        middle = 2 * middle if m % 2 == 0 else middle * m // (m // 2 + 1)
    return middle


@lru_cache(maxsize=1024)
def _known_middle(n: int) -> int:
    return math.comb(n, n // 2)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values for how many there are: the step-down correction of the family-wise error.

    Where the tests with an adjusted p of at most 5 % are called significant, one or more are so by
    chance with probability at most 5 %. The i-th smallest p of m becomes the largest of
    ``min(1, (m - j + 1) p_j)`` over ``j <= i``.

    Args:
        p_values: of m tests, in [0, 1]; they may depend on each other.

    Returns:
        The adjusted p-values, in the order given.

    Reference:
        Holm: A Simple Sequentially Rejective Multiple Test Procedure. Scandinavian Journal of
        Statistics 6, 1979.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    in_order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for earlier, index in enumerate(in_order):
        largest = max(largest, min(1.0, (len(p_values) - earlier) * p_values[index]))
        adjusted[index] = largest
    return tuple(adjusted)
