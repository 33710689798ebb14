"""Figures of single runs: how they were trained, and what their confidence is worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ltcore.comparison import Reliability, Setting
from ltcore.reporting.reporters.html.drawing import (
    MUTED,
    Figure,
    Panel,
    Sign,
    keys_of,
    panel,
)
from ltcore.reporting.reporters.html.pooling import pooled_cells
from ltcore.reporting.reporters.html.selection import Selection, whole_of
from ltcore.reporting.text_tables import view_title

_Histories = Mapping[str, Mapping[str, NDArray[Any]]]
"""Loss -> column -> (epochs,)."""

_SPLITS = ("train", "val")
_OWN_LOSS = (
    "The training loss is the criterion's own: of two losses the smaller need not be the better. "
)


def training_curves(setting: Setting, selection: Selection) -> Iterator[Figure]:
    """Loss and top-1 of each epoch, of the training and of the validation images."""
    for what, column, more in (("top-1", "top1", ""), ("loss", "loss", _OWN_LOSS)):
        found = {
            backbone: {
                loss: history
                for loss in selection.losses
                for history in _history(setting, backbone, loss)
                if any(len(history.get(f"{split}_{column}", ())) > 1 for split in _SPLITS)
            }
            for backbone in selection.backbones
        }
        found = {backbone: histories for backbone, histories in found.items() if histories}
        if found:
            shown = set(chain.from_iterable(found.values()))
            signs = {loss: sign for loss, sign in selection.losses.items() if loss in shown}
            yield Figure(
                f"Training curves: {what}",
                "With marks: the validation images. Thin, without marks: the training images. "
                f"{more}Of several seeds the first.",
                keys_of(signs, line=True),
                tuple(
                    _curves(backbone, histories, signs, column)
                    for backbone, histories in found.items()
                ),
            )


def reliability_diagrams(setting: Setting, selection: Selection) -> Iterator[Figure]:
    """Accuracy against confidence, on the whole split and on the tail's classes."""
    cells = pooled_cells(setting)
    for view in (whole_of(setting), "balanced_tail"):
        found = {
            backbone: {
                loss: cells[backbone, loss].reliability[view]
                for loss in selection.losses
                if (backbone, loss) in cells and view in cells[backbone, loss].reliability
            }
            for backbone in selection.backbones
        }
        found = {backbone: diagrams for backbone, diagrams in found.items() if diagrams}
        if found:
            shown = set(chain.from_iterable(found.values()))
            signs = {loss: sign for loss, sign in selection.losses.items() if loss in shown}
            yield Figure(
                f"Reliability: {view_title(view).lower()}",
                "The share of right images among those of similar confidence, in 15 bins of equal "
                "width; empty bins are left out. Below the diagonal a model is surer than it is "
                "right.",
                keys_of(signs, line=True),
                tuple(_reliability(name, diagrams, signs) for name, diagrams in found.items()),
            )


def _history(setting: Setting, backbone: str, loss: str) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The epochs of the first run, where they are known; those of adjusted logits are the same."""
    cell = setting.cells.get((backbone, loss))
    if cell is not None and not cell.adjusted and cell.runs[0].details is not None:
        yield cell.runs[0].details.history


def _curves(title: str, histories: _Histories, signs: Mapping[str, Sign], column: str) -> Panel:
    def draw(axes: Axes) -> None:
        for loss, history in histories.items():
            sign = signs[loss]
            for split in _SPLITS:
                values = np.asarray(history.get(f"{split}_{column}", ()), dtype=np.float64)
                epochs = np.arange(len(values))
                values = 100 * values if column == "top1" else values
                marked = split == "val"
                axes.plot(
                    epochs,
                    values,
                    color=sign.colour,
                    linestyle=sign.dashes,
                    linewidth=1.6 if marked else 0.8,
                    marker=sign.marker if marked else None,
                    markevery=max(1, len(values) // 6),
                )
        label = "top-1 in %" if column == "top1" else "loss in nats"
        axes.set(xlabel="epoch, counted from 0", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))

    return panel(title, "A line a loss over the epochs, of validation and training images.", draw)


def _reliability(
    title: str, diagrams: Mapping[str, Reliability], signs: Mapping[str, Sign]
) -> Panel:
    def draw(axes: Axes) -> None:
        axes.plot((0, 100), (0, 100), color=MUTED, linewidth=1, linestyle=":")
        for loss, diagram in diagrams.items():
            sign, filled = signs[loss], diagram.images > 0
            axes.plot(
                100 * diagram.confidence[filled],
                100 * diagram.accuracy[filled],
                color=sign.colour,
                marker=sign.marker,
                linestyle=sign.dashes,
            )
        axes.set(xlim=(0, 102), ylim=(-2, 102))
        axes.set(xlabel="mean confidence in %", ylabel="right in %")

    return panel(title, "A line a loss; the diagonal is perfect calibration.", draw)
