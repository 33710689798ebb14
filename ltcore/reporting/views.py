"""The views of a test split that a report shows: those of the file, the whole, and groups anew."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ltcore.comparison import in_view_order
from ltcore.predictions import Predictions
from ltcore.splits import Classes

STUDY_VIEWS = ("long_tailed", "head", "middle", "tail")

Views = Mapping[str, NDArray[np.int64]]


def views_of(
    test: Predictions, classes: Classes, thresholds: tuple[int, int] | None = None
) -> Views:
    """Every view of a test split, in the order of reports.

    Args:
        test: the split, with the views that its file holds.
        classes: K of them.
        thresholds: ``(high, low)``: ``many`` are the classes with more than ``high`` training
            images, ``few`` those with less than ``low``, ``medium`` the rest; None leaves these
            views as they are in the file.

    Returns:
        The whole split (``balanced`` where every class has equally many test images, else
        ``all``), the study's views, which are empty where the file lacks them, and whatever other
        views there are.
    """
    sizes = np.bincount(test.label, minlength=len(classes))
    whole = "balanced" if np.all(sizes == sizes[0]) else "all"
    absent = dict.fromkeys(STUDY_VIEWS, np.empty(0, dtype=np.int64))
    views = {whole: np.arange(len(test.label)), **absent, **test.views}
    if thresholds is not None:
        views |= _by_training_images(test, classes, *thresholds)
    return {view: views[view] for view in in_view_order(set(views))}


def _by_training_images(
    test: Predictions, classes: Classes, high: int, low: int
) -> dict[str, NDArray[np.int64]]:
    counts = classes.counts[test.label]
    few, many = counts < low, counts > high
    groups = {"many": many, "medium": ~few & ~many, "few": few}
    return {view: np.flatnonzero(members) for view, members in groups.items()}
