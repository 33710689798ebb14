"""Figures of classes: how many images train each, how each fares, where the tail's images go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ltcore.comparison import Setting
from ltcore.reporting.reporters.html.drawing import (
    GRID,
    MUTED,
    Figure,
    Key,
    Panel,
    Sign,
    hatched_swatch,
    keys_of,
    panel,
    plain_log_ticks,
)
from ltcore.reporting.reporters.html.pooling import (
    NO_IMAGE,
    Pooled,
    classes_of,
    pooled_cells,
)
from ltcore.reporting.reporters.html.selection import Selection
from ltcore.splits import GROUP_NAMES

_MOST_BINS = 10
_PARTS = (
    ("right", MUTED, ""),
    ("taken for another tail class", GRID, ""),
    ("for a middle class", GRID, "//"),
    ("for a head class", GRID, "xxx"),
)
_GROUP_HATCHES = ("", "//", "xxx")


def class_distribution(setting: Setting, selection: Selection) -> Iterator[Figure]:
    """The training images of each class."""
    classes = classes_of(setting)
    counts = np.array(setting.class_counts)
    groups = classes.groups if classes is not None else np.zeros(len(counts), dtype=np.uint8)
    order = np.lexsort((-counts, groups))
    counts, groups = counts[order], groups[order]
    largest, smallest = int(counts.max()), int(counts.min())
    yield Figure(
        "Training images of each class",
        f"{len(counts):,} classes, {counts.sum():,} images, {largest:,} of the largest class and "
        f"{smallest:,} of the smallest. Numbers beside a group's name: its classes.",
        (),
        (
            panel(
                "",
                f"Images of each class, from {largest:,} down to {smallest:,}.",
                lambda axes: _draw_counts(axes, counts, groups if classes is not None else None),
            ),
        ),
    )


def accuracy_by_training_images(setting: Setting, selection: Selection) -> Iterator[Figure]:
    """Recall against the training images of a class, smoothed over classes of similar size."""
    found = _drawn(setting, selection)
    if not found or setting.train == "balanced":
        return
    bins = min(_MOST_BINS, len(setting.class_counts))
    per_bin = len(setting.class_counts) / bins
    mark = (
        "one class"
        if per_bin == 1
        else f"about {per_bin:.3g} classes with the nearest numbers of training images (geometric "
        "mean of these numbers)"
    )
    yield Figure(
        "Recall by training images of the class",
        f"On the whole test split. Each mark: the share of right images of {mark}.",
        keys_of(_signs(found, selection), line=True),
        tuple(_recall(backbone, losses, selection, bins) for backbone, losses in found.items()),
    )


def where_the_tail_goes(setting: Setting, selection: Selection) -> Iterator[Figure]:
    """What images of tail classes are taken for."""
    found = _drawn(setting, selection)
    if not found:
        return
    panels = []
    for backbone, losses in found.items():
        shares = {
            loss: share
            for loss, known in losses.items()
            if (share := known.shares_of_tail()) is not None
        }
        if shares:
            panels.append(_bars(backbone, shares, selection))
    if panels:
        keys = tuple(Key(part, hatched_swatch(colour, hatch)) for part, colour, hatch in _PARTS)
        yield Figure(
            "What images of tail classes are taken for",
            "Shares of the tail classes' images of the whole test split; at the right the share "
            "of right ones in %.",
            (*keys_of(_signs(found, selection)), *keys),
            tuple(panels),
        )


def _drawn(setting: Setting, selection: Selection) -> dict[str, dict[str, Pooled]]:
    """Backbone -> loss -> what is known of single images."""
    cells = pooled_cells(setting)
    found = {
        backbone: {
            loss: cells[backbone, loss] for loss in selection.losses if (backbone, loss) in cells
        }
        for backbone in selection.backbones
    }
    return {backbone: losses for backbone, losses in found.items() if losses}


def _signs(found: Mapping[str, Mapping[str, Pooled]], selection: Selection) -> dict[str, Sign]:
    shown = {loss for losses in found.values() for loss in losses}
    return {loss: sign for loss, sign in selection.losses.items() if loss in shown}


def _draw_counts(axes: Axes, counts: NDArray[np.int64], groups: NDArray[np.uint8] | None) -> None:
    if counts.min() < counts.max():
        axes.set_yscale("log")
        axes.set_ylim(NO_IMAGE * 0.9, counts.max() * 2)
        plain_log_ticks(axes.yaxis, (1, counts.max()))
    else:
        axes.set_ylim(0, max(counts.max(), 1) * 1.15)
    of_group = np.zeros(len(counts), dtype=np.uint8) if groups is None else groups
    for group in np.unique(of_group):
        members = np.flatnonzero(of_group == group)
        edges = np.arange(members[0], members[-1] + 2) + 0.5
        heights = np.maximum(counts[members], NO_IMAGE)
        axes.stairs(
            heights,
            edges,
            fill=True,
            facecolor=GRID,
            hatch=_GROUP_HATCHES[group],
            edgecolor=MUTED,
            linewidth=0.5,
        )
        if groups is not None:
            axes.annotate(
                f"{GROUP_NAMES[group]}, {len(members)}",
                (members.mean() + 1, heights.max()),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
    axes.grid(visible=False, axis="x")
    axes.set(xlabel="class, by group and training images", ylabel="training images")
    axes.set_xlim(0.5 - 0.01 * len(counts), len(counts) + 0.5 + 0.01 * len(counts))


def _recall(backbone: str, losses: Mapping[str, Pooled], selection: Selection, bins: int) -> Panel:
    def draw(axes: Axes) -> None:
        axes.set_xscale("log")
        for loss, known in losses.items():
            sign = selection.losses[loss]
            images, recall = known.recall_by_training_images(bins)
            axes.plot(images, recall, color=sign.colour, marker=sign.marker, linestyle=sign.dashes)
        counts = np.maximum(next(iter(losses.values())).classes.counts, NO_IMAGE)
        plain_log_ticks(axes.xaxis, counts)
        axes.set_xlim(counts.min() / 1.15, counts.max() * 1.15)
        axes.set(xlabel="training images of the class", ylabel="recall in %", ylim=(-3, 103))

    description = "Recall in percent, a line a loss, over the classes' training images."
    return panel(backbone, description, draw)


def _bars(backbone: str, shares: Mapping[str, NDArray[np.float64]], selection: Selection) -> Panel:
    def draw(axes: Axes) -> None:
        positions = range(len(shares), 0, -1)
        for position, (loss, parts) in zip(positions, shares.items(), strict=True):
            start = 0.0
            for part, (_, colour, hatch) in zip(parts, _PARTS, strict=True):
                axes.barh(
                    position,
                    part,
                    left=start,
                    height=0.7,
                    facecolor=colour,
                    hatch=hatch,
                    edgecolor=MUTED,
                    linewidth=0.5,
                )
                start += part
            axes.annotate(f"{parts[0]:.1f}", (100, position), (4, -3), textcoords="offset points")
            sign = selection.losses[loss]
            axes.plot(-4, position, color=sign.colour, marker=sign.marker, clip_on=False)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set(xlim=(0, 110), ylim=(0.4, len(shares) + 0.6), xlabel="share in %")
        axes.set_xticks(range(0, 101, 20))

    description = "A bar a loss, in the order of the key; right from left to wrong."
    return panel(backbone, description, draw, height=0.75 + 0.27 * max(len(shares), 3))
