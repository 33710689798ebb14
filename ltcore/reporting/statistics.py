"""Means and standard deviations of plain numbers; nothing here knows what they measure.

Sums are exact before they are rounded (:func:`math.fsum`), so that no result depends on the order
of the values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


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
