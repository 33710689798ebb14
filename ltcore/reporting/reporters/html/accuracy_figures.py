"""Figures of accuracies: of each group, and of the head against the tail."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from ltcore.comparison import Cell, Setting
from ltcore.measures import Means
from ltcore.reporting.reporters.html.drawing import (
    GRID,
    INK,
    Figure,
    Panel,
    Sign,
    keys_of,
    panel,
)
from ltcore.reporting.reporters.html.selection import Selection, whole_of
from ltcore.reporting.text_tables import view_title

_ABOVE_ALL = 103.0  # so that a mark at 100 % is whole


class _Point(NamedTuple):
    """An accuracy and the ends of its whisker, in percent."""

    value: float
    low: float
    high: float


_Series = Mapping[str, Mapping[str, _Point]]
"""Series -> view -> point."""


def groups_by_loss(setting: Setting, selection: Selection) -> Iterator[Figure]:
    """Top-1 on the whole split and on each group, of each loss within each backbone."""
    sizes = _sizes(setting)
    within: dict[str, _Series] = {
        backbone: {
            loss: _points_of_cell(setting.cells[backbone, loss], sizes)
            for loss in selection.losses
            if (backbone, loss) in setting.cells
        }
        for backbone in selection.backbones
        if backbone in setting.by_backbone
    }
    top = _top(within.values())
    losses = _present(selection.losses, within.values())
    yield Figure(
        "Accuracy by group and loss",
        "Whisker: the 95 % Wilson interval of a single run; of several seeds ± the sample's "
        "standard deviation (ddof 1), cut off at 0 and 100 %.",
        keys_of(losses),
        tuple(_group_panel(name, series, losses, sizes, top) for name, series in within.items()),
    )


def group_averages(setting: Setting, selection: Selection) -> Iterator[Figure]:
    """The same of each backbone over its losses, and of each loss over its backbones."""
    sizes = _sizes(setting)
    losses, backbones = len(setting.trained_losses), len(setting.by_backbone)
    for title, means, signs, over, count in (
        ("by group and backbone", setting.by_backbone, selection.backbones, "losses", losses),
        ("by group and loss", setting.by_loss, selection.losses, "backbones", backbones),
    ):
        if count > 1:
            series = {name: _points_of_means(means[name], sizes) for name in signs if name in means}
            shown = _present(signs, [series])
            mean = f"Mean over {count} {over}"
            yield Figure(
                f"Accuracy {title}, over {over}",
                f"{mean}; whisker: ± the population's standard deviation (ddof 0), cut off at 0 "
                "and 100 %.",
                keys_of(shown),
                (_group_panel("", series, shown, sizes, _top([series])),),
            )


def head_against_tail(setting: Setting, selection: Selection) -> Iterator[Figure]:
    """Each cell's top-1 on the head against that on the tail."""
    points = {
        (backbone, loss): _points_of_cell(cell, ("head", "tail"))
        for (backbone, loss), cell in setting.cells.items()
        if backbone in selection.backbones and loss in selection.losses
    }
    points = {at: found for at, found in points.items() if len(found) == 2}
    if not points:
        return
    backbones, losses = {at[0] for at in points}, {at[1] for at in points}
    numbers = {loss: number for number, loss in enumerate(selection.losses, start=1)}

    def draw(axes: Axes) -> None:
        for (backbone, loss), found in points.items():
            colour, marker = selection.losses[loss].colour, selection.backbones[backbone].marker
            head, tail = found["head"], found["tail"]
            axes.plot((head.low, head.high), (tail.value,) * 2, color=colour, lw=0.8, alpha=0.35)
            axes.plot((head.value,) * 2, (tail.low, tail.high), color=colour, lw=0.8, alpha=0.35)
            axes.plot((head.value,), (tail.value,), color=colour, marker=marker, markersize=6.5)
            axes.annotate(
                str(numbers[loss]),
                (head.value, tail.value),
                xytext=(4.5, 3.5),
                textcoords="offset points",
                fontsize=8,
            )
        axes.set(xlabel="head: top-1 in %", ylabel="tail: top-1 in %")
        axes.set_xlim(*_range([point["head"] for point in points.values()]))
        axes.set_ylim(*_range([point["tail"] for point in points.values()]))

    dots = {
        f"{numbers[loss]}: {loss}": Sign(sign.colour, "o", "-")
        for loss, sign in selection.losses.items()
        if loss in losses
    }
    shapes = {
        backbone: Sign(INK, sign.marker, "-")
        for backbone, sign in selection.backbones.items()
        if backbone in backbones
    }
    yield Figure(
        "Head against tail",
        "Colour and number: the loss. Marker: the backbone. Cross: 95 % Wilson intervals of a "
        "single run; of several seeds ± the sample's standard deviation (ddof 1).",
        (*keys_of(dots), *keys_of(shapes)),
        (
            panel(
                "",
                "A point a loss and backbone; right is more accurate on the head, up on the tail.",
                draw,
                height=4.2,
            ),
        ),
    )


def _sizes(setting: Setting) -> dict[str, int]:
    """Images of the views that are shown, where there are any."""
    sizes: dict[str, int] = {}
    for view in (whole_of(setting), "long_tailed", "head", "middle", "tail"):
        for cell in setting.cells.values():
            for run in cell.runs:
                if view in run.metrics and run.metrics[view].n:
                    sizes[view] = run.metrics[view].n
    return sizes


def _points_of_cell(cell: Cell, views: Iterable[str]) -> dict[str, _Point]:
    if len(cell.runs) > 1:
        return _points_of_means(cell.means, views)
    points = {}
    for view in views:
        metrics = cell.runs[0].metrics.get(view)
        interval = metrics.interval("top1") if metrics else None
        if metrics and metrics.top1 is not None and interval:
            points[view] = _percent(metrics.top1, *interval)
    return points


def _points_of_means(means: Means, views: Iterable[str]) -> dict[str, _Point]:
    points = {}
    for view in views:
        mean = means[view]["top1"] if view in means else None
        if mean and mean.mean is not None:
            std = mean.std or 0.0
            points[view] = _percent(mean.mean, mean.mean - std, mean.mean + std)
    return points


def _percent(value: float, low: float, high: float) -> _Point:
    return _Point(100 * value, 100 * max(low, 0.0), 100 * min(high, 1.0))


def _present(signs: Mapping[str, Sign], panels: Iterable[_Series]) -> dict[str, Sign]:
    shown = {name for series in panels for name in series}
    return {name: sign for name, sign in signs.items() if name in shown}


def _top(panels: Iterable[_Series]) -> float:
    """The end of the accuracies' axis, a multiple of ten."""
    highs = [p.high for series in panels for points in series.values() for p in points.values()]
    return min(10.0 * math.ceil(max(highs, default=100.0) / 10.0 + 1e-9), _ABOVE_ALL)


def _range(points: Sequence[_Point]) -> tuple[float, float]:
    low, high = min(p.low for p in points), max(p.high for p in points)
    margin = 0.04 * max(high - low, 5.0)
    return max(low - margin, -2.0), min(high + margin, 102.0)


def _group_panel(
    title: str, series: _Series, signs: Mapping[str, Sign], sizes: Mapping[str, int], top: float
) -> Panel:
    step = 0.78 / max(len(signs), 2)

    def draw(axes: Axes) -> None:
        for number, (name, sign) in enumerate(signs.items()):
            offset = (number - (len(signs) - 1) / 2) * step
            found = series.get(name, {})
            x = [position + offset for position, view in enumerate(sizes) if view in found]
            points = [found[view] for view in sizes if view in found]
            lows, highs = [point.low for point in points], [point.high for point in points]
            axes.vlines(x, lows, highs, color=sign.colour, linewidth=1.2, alpha=0.75)
            values = [point.value for point in points]
            axes.plot(x, values, color=sign.colour, marker=sign.marker, linestyle="", clip_on=False)
        for position in range(1, len(sizes)):
            axes.axvline(position - 0.5, color=GRID, linewidth=0.7)
        axes.set_xticks(range(len(sizes)), [view_title(view) for view in sizes])
        axes.tick_params(axis="x", labelsize=9)
        for position, n in enumerate(sizes.values()):
            axes.annotate(
                f"n={n:,}",
                (position, 0),
                (0, -25),
                textcoords="offset points",
                ha="center",
                fontsize=8.5,
            )
        axes.grid(visible=False, axis="x")
        axes.set(xlim=(-0.5, len(sizes) - 0.5), ylim=(0, top), ylabel="top-1 in %")

    groups = ", ".join(view_title(view) for view in sizes)
    return panel(title, f"Top-1 accuracy in percent on {groups}, a point a series.", draw)
