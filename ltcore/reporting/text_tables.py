"""A table of text as every reporter of tables takes it, and how numbers and views are written.

Names come through as they are: escaping them for a terminal, Markdown or LaTeX is a reporter's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ltcore.measures import Interval, MetricInfo

NO_VALUE = "—"
CLOSE = "~"
"""Follows a value that nothing tells from the best of its column."""

_VIEW_TITLES: Mapping[str, str] = {
    "balanced": "Balanced",
    "all": "All",
    "long_tailed": "Long-tailed",
    "head": "Head",
    "middle": "Middle",
    "tail": "Tail",
    "balanced_head": "Balanced head",
    "balanced_middle": "Balanced middle",
    "balanced_tail": "Balanced tail",
    "many": "Many",
    "medium": "Medium",
    "few": "Few",
    "expected_train": "Expected as trained",
    "expected_uniform": "Expected uniform",
}


@dataclass(frozen=True)
class Column:
    """A column's heading.

    Attributes:
        title: what it holds.
        images: images in the view; None for a column that is no view.
        is_text: whether it holds words, which stand to the left, and no numbers.
    """

    title: str
    images: int | None = None
    is_text: bool = False


@dataclass(frozen=True)
class Value:
    """A cell's text.

    Attributes:
        text: what it says.
        best: whether it is the best of its column.
        mark: a sign that a note explains: ``~`` for one that nothing tells from the best.
        number: what rows are sorted by; None for one that is missing.
    """

    text: str
    best: bool = False
    mark: str = ""
    number: float | None = None


@dataclass(frozen=True)
class Row:
    """One line: its label, the marks that a note explains, and a value a column."""

    label: str
    marks: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class TextTable:
    """A table whose first column holds the rows' labels.

    Attributes:
        title: what it shows, in one line.
        best: what "best" is among, where values are marked.
        columns: all of them, that of the labels first.
        rows: in order.
    """

    title: str
    best: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Section:
    """Tables that belong together, those of one training set and recipe, say.

    Attributes:
        title: what they are about.
        tables: in order.
        notes: what their signs mean.
    """

    title: str
    tables: tuple[TextTable, ...]
    notes: tuple[str, ...]


def view_title(view: str) -> str:
    """What tables call a view: ``Balanced tail``."""
    if view.startswith("expected_"):
        return _VIEW_TITLES.get(view, f"Expected {view.removeprefix('expected_')}")
    return _VIEW_TITLES.get(view, view)


@dataclass(frozen=True)
class Writer:
    """How the numbers of one metric are written.

    Attributes:
        metric: whose.
        digits: decimals.
    """

    metric: MetricInfo
    digits: int

    def number(self, value: float | None) -> str:
        """A value, in percent where it is a share."""
        return NO_VALUE if value is None else f"{self._scaled(value):.{self.digits}f}"

    def difference(self, value: float | None) -> str:
        """A difference with its sign, in points where it is one of shares."""
        if value is None:
            return NO_VALUE
        text = f"{self._scaled(value):+.{self.digits}f}"
        # A difference that rounds to nothing has no sign.
        return text[1:] if not text.strip("+-0.") else text

    def interval(self, interval: Interval | None, *, signed: bool = False) -> str:
        """`` [12.10, 13.96]`` with the space before it; nothing where there is none."""
        if interval is None:
            return ""
        low, high = map(self.difference if signed else self.number, interval)
        return f" [{low}, {high}]"

    def _scaled(self, value: float) -> float:
        return 100 * value if self.metric.percent else value
