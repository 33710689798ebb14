"""A table of text as every reporter of tables takes it, and the words that head its columns.

Names come through as they are: escaping them for a terminal, Markdown or LaTeX is a reporter's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ltcore.comparison import Metric

TITLES: Mapping[Metric, str] = {
    "top1": "top-1 in %",
    "top5": "top-5 in %",
    "balanced_accuracy": "balanced accuracy in %",
    "f1_macro": "macro F1 in %",
    "f1_weighted": "weighted F1 in %",
    "nll": "NLL in nats, lower is better",
    "ece": "ECE in %, lower is better",
}
VIEW_TITLES: Mapping[str, str] = {
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
}


@dataclass(frozen=True)
class Column:
    """A column's heading.

    Attributes:
        title: what it holds.
        images: images in the view; None for a column that is no view.
    """

    title: str
    images: int | None = None


@dataclass(frozen=True)
class Value:
    """A cell's text, and whether it is the best of its column."""

    text: str
    best: bool = False


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
    """The tables of one training set and recipe, and what their signs mean."""

    title: str
    tables: tuple[TextTable, ...]
    notes: tuple[str, ...]
