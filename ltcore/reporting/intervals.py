"""95 % intervals of shares, of their differences and of means, in closed form.

Nothing here knows what the numbers measure; intervals from resamples are
:mod:`ltcore.reporting.bootstrap`'s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ltcore.measures import Interval
from ltcore.reporting.statistics import mean, sample_std

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


def wilson_interval(successes: float, n: float, z: float = Z_95) -> Interval:
    r"""The score interval of a share ``p = successes / n``.

    ``(p + z**2 / 2n ± z sqrt(p (1 - p) / n + z**2 / 4n**2)) / (1 + z**2 / n)``

    Args:
        successes: in [0, n]; no whole number where images have weights.
        n: above 0; of weighted images :func:`effective_sample_size`.
        z: the normal quantile; the default gives 95 %.

    Returns:
        The lower and the upper end, in [0, 1].

    Reference:
        Wilson: Probable Inference, the Law of Succession, and Statistical Inference. Journal of
        the American Statistical Association 22, 1927.
    """
    share = successes / n
    scale = 1.0 + z * z / n
    center = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1.0 - share) / n + z * z / (4 * n * n)) / scale
    # The ends are exact at no and at all successes, where rounding would leave [0, 1].
    low = 0.0 if successes == 0 else max(0.0, center - half)
    high = 1.0 if successes == n else min(1.0, center + half)
    return Interval(low, high)


def newcombe_interval(share: float, n: float, other_share: float, other_n: float) -> Interval:
    """The interval of ``d = p - q``, of two shares of different images.

    With the Wilson intervals (l, u) of p and (l', u') of q:

    ``d - sqrt((p - l)**2 + (u' - q)**2)`` to ``d + sqrt((u - p)**2 + (q - l')**2)``

    Shares of the same images are paired: what two runs get right together narrows their
    difference, which this interval does not see.

    Args:
        share: p, in [0, 1].
        n: of how many images; above 0.
        other_share: q, in [0, 1].
        other_n: of how many other images; above 0.

    Returns:
        The lower and the upper end, in [-1, 1].

    Reference:
        Newcombe: Interval Estimation for the Difference Between Independent Proportions:
        Comparison of Eleven Methods. Statistics in Medicine 17, 1998, method 10.
    """
    low, high = wilson_interval(share * n, n)
    other_low, other_high = wilson_interval(other_share * other_n, other_n)
    difference = share - other_share
    return Interval(
        difference - math.hypot(share - low, other_high - other_share),
        difference + math.hypot(high - share, other_share - other_low),
    )


def t_interval(values: Sequence[float]) -> Interval | None:
    """The interval of the mean of a normal sample: ``m ± t s / sqrt(n)``.

    m is the mean of the n values, s their standard deviation (ddof 1) and t the 97.5 % quantile of
    Student's distribution of n - 1 degrees of freedom.

    Returns:
        None for fewer than two values; no width where all are equal.

    Reference:
        Student: The Probable Error of a Mean. Biometrika 6, 1908.
    """
    std = sample_std(values)
    if std is None:
        return None
    if min(values) == max(values):  # rounding may leave a mean beside equal values
        return Interval(values[0], values[0])
    center = mean(values)
    half = t_quantile(len(values) - 1) * std / math.sqrt(len(values))
    return Interval(center - half, center + half)


@lru_cache(maxsize=256)
def t_quantile(df: int, level: float = 0.95) -> float:
    """The t that Student's |T| stays below with probability ``level``.

    Args:
        df: degrees of freedom, at least 1.
        level: in [0, 1).
    """
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        if _t_probability(middle, df) < level:
            low = middle
        else:
            high = middle
    return math.sqrt(df) * math.tan(low)


def _t_probability(angle: float, df: int) -> float:
    """P(|T| <= sqrt(df) tan(angle)).

    A finite sum for a whole number of degrees of freedom: Abramowitz and Stegun, Handbook of
    Mathematical Functions, 1964, 26.7.3 and 26.7.4.
    """
    odd = df % 2
    cosine = math.cos(angle)
    term = cosine if odd else 1.0
    total = 0.0
    for power in range(odd, df - 1, 2):
        total += term
        term *= cosine * cosine * (power + 1) / (power + 2)
    total *= math.sin(angle)
    return (angle + total) * 2 / math.pi if odd else total


def effective_sample_size(weights: NDArray[np.float64]) -> float:
    """How many equally weighted images tell as much as these: ``sum(w)**2 / sum(w**2)``.

    Args:
        weights: (n,) at least 0, not all 0.

    Returns:
        In [1, n]; n where all weights are equal.

    Reference:
        Kish: Survey Sampling. Wiley, 1965.
    """
    return float(weights.sum() ** 2 / np.square(weights).sum())
