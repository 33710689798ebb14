"""Intervals, means and standard deviations of plain numbers; nothing here knows what they measure.

Sums are exact before they are rounded (:func:`math.fsum`), so that no result depends on the order
of the values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


def wilson_interval(successes: int, n: int, z: float = Z_95) -> tuple[float, float]:
    r"""The score interval of a share ``p = successes / n``.

    ``(p + z**2 / 2n ± z sqrt(p (1 - p) / n + z**2 / 4n**2)) / (1 + z**2 / n)``

    Args:
        successes: in [0, n].
        n: at least 1.
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
    low = 0.0 if successes == 0 else center - half
    high = 1.0 if successes == n else center + half
    return low, high


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean of at least one value."""
    return math.fsum(values) / len(values)


def population_std(values: Sequence[float]) -> float:
    """The standard deviation of values that are all there is (ddof 0), of at least one value."""
    return math.sqrt(_squares(values) / len(values))


def sample_std(values: Sequence[float]) -> float | None:
    """The standard deviation of a sample (ddof 1); None for fewer than two values."""
    return math.sqrt(_squares(values) / (len(values) - 1)) if len(values) > 1 else None


def _squares(values: Sequence[float]) -> float:
    center = mean(values)
    return math.fsum((value - center) ** 2 for value in values)
