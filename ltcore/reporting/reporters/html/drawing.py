"""How every figure is drawn: its size, its style, and the signs that tell series apart.

A figure is one or several panels, each a drawing of its own, so that a page can place them side by
side or, on a phone, one below the other. Names that come from files stand in the page around the
drawings and never in them: axes and ticks hold numbers and fixed words alone.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, NullLocator

INK, MUTED, GRID = "#010101", "#020202", "#030303"
_HUES = ("#0064aa", "#c14a00", "#007a55", "#a0398c", "#8a6100", "#217fb8", "#7a1f3d", "#4b4b4b")
COLOURS: Mapping[str, str] = MappingProxyType(
    {INK: "ink", MUTED: "muted", GRID: "grid"}
    | {hue: f"series-{number}" for number, hue in enumerate(_HUES)}
)
"""What the drawings are coloured with -> what the page's style sheet calls it."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (2, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
MOST_SERIES = len(MARKERS)

# Inches. At 4.6 a panel is 331 CSS points wide, a phone's width, so that its text is read there.
_WIDTH, _HEIGHT = 4.6, 3.4
_MOST_TICKS = 6
_AXES = (0.135, 0.15, 0.845, 0.815)  # left, bottom, width, height: shares of the panel's

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "ltcore",  # equal drawings have equal ids
    "text.parse_math": False,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.unicode_minus": True,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "lines.markersize": 5.5,
    "lines.linewidth": 1.6,
    "hatch.color": MUTED,
    "hatch.linewidth": 0.6,
}


@dataclass(frozen=True)
class Sign:
    """What tells a series from the others; never the colour alone."""

    colour: str
    marker: str
    dashes: Any

    @classmethod
    def numbered(cls, number: int) -> Sign:
        """The sign of the n-th series, below ``MOST_SERIES``."""
        return cls(
            _HUES[number % len(_HUES)],
            MARKERS[number % len(MARKERS)],
            DASHES[number % len(DASHES)],
        )


@dataclass(frozen=True)
class Panel:
    """One drawing.

    Attributes:
        title: what sets it apart from the figure's other panels; empty where there is no other.
        description: what it shows, for those who do not see it.
        svg: as matplotlib writes it.
    """

    title: str
    description: str
    svg: str


@dataclass(frozen=True)
class Key:
    """A series' name, and its sign drawn small."""

    label: str
    svg: str


@dataclass(frozen=True)
class Figure:
    """Panels that belong together.

    Attributes:
        title: what they show, in one line.
        caption: what is needed to read them: what the signs and whiskers mean, what is left out.
        keys: the series.
        panels: side by side.
    """

    title: str
    caption: str
    keys: tuple[Key, ...]
    panels: tuple[Panel, ...]


@contextmanager
def drawing_style() -> Iterator[None]:
    """Draw in ltcore's style, whatever the user's own matplotlib settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def panel(
    title: str,
    description: str,
    draw: Callable[[Axes], None],
    *,
    height: float = _HEIGHT,
) -> Panel:
    """Draw one panel.

    Args:
        title: what sets it apart from the figure's other panels.
        description: what it shows, for those who do not see it.
        draw: puts the content, and the axes' labels, on empty axes.
        height: in inches.
    """
    canvas = Canvas(figsize=(_WIDTH, height), facecolor="none")
    # The margins hold text of a fixed size, so their share shrinks as the panel grows.
    left, bottom, width, top = *_AXES[:3], _AXES[1] + _AXES[3]
    bottom, top = bottom * _HEIGHT / height, 1 - (1 - top) * _HEIGHT / height
    axes = canvas.add_axes((left, bottom, width, top - bottom), facecolor="none")
    axes.tick_params(length=0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(_MOST_TICKS, steps=(1, 2, 5, 10)))
    draw(axes)
    return Panel(title, description, _svg_of(canvas))


def keys_of(signs: Mapping[str, Sign], *, line: bool = False) -> tuple[Key, ...]:
    """The key of a figure: each series' name with its marker, on its line where there is one."""
    return tuple(Key(label, _swatch(sign, line)) for label, sign in signs.items())


def plain_log_ticks(axis: Any, values: Iterable[float]) -> None:
    """Label a logarithmic axis with whole numbers: 1, 10, 100, or 1, 3, 10 over a short range."""
    values = [value for value in values if value > 0]
    low, high = min(values), max(values)
    steps = (1,) if high / low > 300 else (1, 3) if high / low > 20 else (1, 2, 5)
    decades = [10**power for power in range(7)]
    ticks = [step * decade for decade in decades for step in steps]
    ticks = [tick for tick in ticks if low / 1.6 <= tick <= high * 1.6]
    axis.set_ticks(ticks, labels=[f"{tick:,}" for tick in ticks])
    axis.set_minor_locator(NullLocator())


@cache
def _swatch(sign: Sign, line: bool) -> str:
    canvas = Canvas(figsize=(0.5 if line else 0.25, 0.2), facecolor="none")
    if line:
        ends = Line2D((0.1, 0.9), (0.5, 0.5), color=sign.colour, linestyle=sign.dashes)
        canvas.add_artist(ends)
    canvas.add_artist(Line2D((0.5,), (0.5,), color=sign.colour, marker=sign.marker, markersize=7))
    return _svg_of(canvas)


@cache
def hatched_swatch(colour: str, hatch: str) -> str:
    """The key of a bar's part."""
    canvas = Canvas(figsize=(0.4, 0.2), facecolor="none")
    canvas.add_artist(
        Rectangle((0.05, 0.1), 0.9, 0.8, facecolor=colour, hatch=hatch, edgecolor=MUTED, lw=0.5)
    )
    return _svg_of(canvas)


def _svg_of(canvas: Canvas) -> str:
    text = io.StringIO()
    canvas.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
