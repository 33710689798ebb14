"""Figures of accuracies: of each group, and of the head against the tail."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from ltcore.comparison import Cell, Setting
from ltcore.measures import Means
from ltcore.reporting.reporters.html.drawing import (
    GRID,
    Figure,
    Panel,
    Sign,
    keys_of,
    panel,
)
from ltcore.reporting.reporters.html.selection import Selection, whole_of
from ltcore.reporting.text_tables import view_title

_OF_A_CELL = (
    "the 95 % Wilson interval of a single run; of several seeds ± the sample's standard deviation "
    "(ddof 1)"
)
_MARK, _RING = 5.5, 4.0  # points: a mark's size, and what each ring around it adds
_ABOVE_ALL = 103.0  # so that a mark at 100 % is whole
_BELOW = -0.025  # of the axis, so that a mark at 0 does not lie on the groups' names


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
    within = _within(setting, selection, sizes)
    top = _top(within.values())
    losses = _present(selection.losses, within.values())
    yield Figure(
        "Accuracy by group and loss",
        f"Whisker: {_OF_A_CELL}, cut off at 0 and 100 %.",
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
    """Top-1 on the head against that on the tail, of each loss within each backbone."""
    within = {
        backbone: {loss: points for loss, points in series.items() if len(points) == 2}
        for backbone, series in _within(setting, selection, ("head", "tail")).items()
    }
    within = {backbone: series for backbone, series in within.items() if series}
    if not within:
        return
    everything = [points for series in within.values() for points in series.values()]
    ranges = tuple(_range([points[view] for points in everything]) for view in ("head", "tail"))
    losses = _present(selection.losses, within.values())
    yield Figure(
        "Head against tail",
        f"Cross: {_OF_A_CELL}. Where losses coincide, one is a mark and the others are rings "
        "around it.",
        keys_of(losses),
        tuple(_cross_panel(name, series, losses, *ranges) for name, series in within.items()),
    )


def _within(
    setting: Setting, selection: Selection, views: Collection[str]
) -> dict[str, dict[str, dict[str, _Point]]]:
    """Backbone -> loss -> view -> point."""
    return {
        backbone: {
            loss: _points_of_cell(setting.cells[backbone, loss], views)
            for loss in selection.losses
            if (backbone, loss) in setting.cells
        }
        for backbone in selection.backbones
        if backbone in setting.by_backbone
    }


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
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center",
                fontsize=8.5,
            )
        axes.grid(visible=False, axis="x")
        axes.set(xlim=(-0.5, len(sizes) - 0.5), ylim=(_BELOW * top, top), ylabel="top-1 in %")

    groups = ", ".join(view_title(view) for view in sizes)
    return panel(title, f"Top-1 accuracy in percent on {groups}, a point a series.", draw)


def _cross_panel(
    title: str,
    series: _Series,
    signs: Mapping[str, Sign],
    heads: tuple[float, float],
    tails: tuple[float, float],
) -> Panel:
    at = {loss: (points["head"].value, points["tail"].value) for loss, points in series.items()}

    def draw(axes: Axes) -> None:
        for number, (loss, points) in enumerate(series.items()):
            head, tail, sign = points["head"], points["tail"], signs[loss]
            inside = list(at.values())[number + 1 :].count(at[loss])
            axes.hlines(tail.value, head.low, head.high, color=sign.colour, lw=1.2, alpha=0.5)
            axes.vlines(head.value, tail.low, tail.high, color=sign.colour, lw=1.2, alpha=0.5)
            axes.plot(
                *at[loss],
                color=sign.colour,
                marker=sign.marker,
                markersize=_MARK + _RING * inside,
                markerfacecolor="none" if inside else sign.colour,
                markeredgewidth=1.5 if inside else 1,
            )
        axes.set(xlabel="head: top-1 in %", ylabel="tail: top-1 in %", xlim=heads, ylim=tails)

    description = "A mark a loss; right is more accurate on the head, up on the tail."
    return panel(title, description, draw)
