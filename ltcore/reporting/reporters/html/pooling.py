"""The details of a cell's runs taken together: counts are added over its seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ltcore.comparison import Cell, Details, Reliability, Setting
from ltcore.splits import GROUP_NAMES, Classes

NO_IMAGE = 0.5
"""Where a class without a training image stands on a logarithmic axis."""

_TAIL = GROUP_NAMES.index("tail")


@dataclass(frozen=True, eq=False)
class Pooled:
    """What the predictions of a cell's runs say together.

    Attributes:
        classes: of all the runs.
        confusion: (K, K) int64, images by label and prediction, added.
        reliability: by view; images added, means over all of them.
    """

    classes: Classes
    confusion: NDArray[np.int64]
    reliability: Mapping[str, Reliability]

    def recall_by_training_images(
        self, bins: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The recall of classes with similar numbers of training images, taken together.

        Args:
            bins: how many parts the classes are cut into, in the order of these numbers.

        Returns:
            Of each part that has test images the geometric mean of the training images, and the
            share in % of its test images that are right.
        """
        counts = np.maximum(self.classes.counts, NO_IMAGE)
        right, images = np.diagonal(self.confusion), self.confusion.sum(axis=1)
        parts = np.array_split(np.argsort(-counts, kind="stable"), bins)
        parts = [part for part in parts if images[part].sum()]
        return (
            np.array([np.exp(np.log(counts[part]).mean()) for part in parts]),
            np.array([100.0 * right[part].sum() / images[part].sum() for part in parts]),
        )

    def shares_of_tail(self) -> NDArray[np.float64] | None:
        """What images of tail classes are taken for; None where there are no such images.

        Returns:
            (4,) shares in %: right, another tail class, a middle class, a head class.
        """
        groups = self.classes.groups
        tail = self.confusion[groups == _TAIL]
        if not tail.sum():
            return None
        head, middle, of_tail = (tail[:, groups == group].sum() for group in range(3))
        right = np.diagonal(self.confusion)[groups == _TAIL].sum()
        images = np.array([right, of_tail - right, middle, head], dtype=np.float64)
        shares: NDArray[np.float64] = 100.0 * images / images.sum()
        return shares


def _predicted_details(cell: Cell) -> Iterator[Details]:
    """The details of the runs whose predictions are a model's own."""
    for run in cell.runs:
        if run.details is not None and not run.published:
            yield run.details


def pooled(cell: Cell) -> Pooled | None:
    """Add up a cell's runs; None where nothing is known of single images."""
    details = tuple(_predicted_details(cell))
    if not details:
        return None
    views = [view for view in details[0].reliability if all(view in d.reliability for d in details)]
    return Pooled(
        classes=details[0].classes,
        confusion=np.sum([each.confusion for each in details], axis=0),
        reliability={view: _added([each.reliability[view] for each in details]) for view in views},
    )


def pooled_cells(setting: Setting) -> dict[tuple[str, str], Pooled]:
    """The cells of which something is known of single images."""
    found = {at: pooled(cell) for at, cell in setting.cells.items()}
    return {at: known for at, known in found.items() if known is not None}


def classes_of(setting: Setting) -> Classes | None:
    """The classes of a setting, with their groups; None where no run has details."""
    for cell in setting.cells.values():
        for run in cell.runs:
            if run.details is not None:
                return run.details.classes
    return None


def _added(diagrams: list[Reliability]) -> Reliability:
    images = np.sum([each.images for each in diagrams], axis=0)
    filled = np.where(images > 0, images, np.nan)
    confidence = np.nansum([each.images * each.confidence for each in diagrams], axis=0)
    accuracy = np.nansum([each.images * each.accuracy for each in diagrams], axis=0)
    return Reliability(images, confidence / filled, accuracy / filled)
