"""The report for people at a terminal."""

from __future__ import annotations

import textwrap
from typing import ClassVar

from rich.cells import cell_len

from ltcore.comparison import Comparison
from ltcore.errors import printable
from ltcore.reporting.reporters.options import TablesReporter
from ltcore.reporting.text_tables import Column, TextTable

_WIDTH = 100
_BEST = "*"
_GAP = "  "


class Table(TablesReporter):
    """Tables in plain text: per training set and backbone, then means over losses and backbones."""

    name: ClassVar[str] = "table"
    suffix: ClassVar[str] = ".txt"

    def render(self, comparison: Comparison) -> str:
        """Render the comparison, whole: no colours, no control characters."""
        blocks = []
        for section in self.layout(comparison).sections(comparison):
            blocks.append(_wrapped(section.title))
            blocks.extend(map(_table, section.tables))
            if section.notes:
                blocks.append("\n".join(map(_wrapped, section.notes)))
        if not comparison.runs:
            blocks.append("No runs.")
        if comparison.warnings:
            blocks.append("\n".join(_wrapped(f"Warning: {text}") for text in comparison.warnings))
        if comparison.unreadable:
            files = [f"Not in this report, {len(comparison.unreadable)} unreadable:"]
            files += [printable(str(error)) for error in comparison.unreadable.values()]
            blocks.append("\n".join(files))
        return "\n\n".join(blocks) + "\n"


def _table(content: TextTable) -> str:
    headings = [_heading(column) for column in content.columns]
    height = max(map(len, headings))
    marked = any(value.best or value.mark for row in content.rows for value in row.values)
    room = " " if marked else ""  # for a sign, in every column
    columns = [[""] * (height - len(lines)) + lines for lines in headings]
    for row in content.rows:
        columns[0].append(f"{printable(row.label)} {row.marks}".rstrip())
        for column, value in zip(columns[1:], row.values, strict=True):
            sign = _BEST if value.best else value.mark or room
            column.append(printable(value.text) + sign)
    padded = [
        _padded(cells, to_the_left=column.is_text)
        for column, cells in zip(content.columns, columns, strict=True)
    ]
    lines = [_GAP.join(cells) for cells in zip(*padded, strict=True)]
    lines.insert(height, "─" * cell_len(lines[0]))
    title = f"{content.title}; {_BEST} {content.best}" if content.best else content.title
    return "\n".join([_wrapped(title), *(line.rstrip() for line in lines)])


def _heading(column: Column) -> list[str]:
    """A title of two words stands in two lines, so that six columns fit a terminal."""
    lines = printable(column.title).split(" ")
    return lines if column.images is None else [*lines, f"n={column.images:,}"]


def _padded(cells: list[str], *, to_the_left: bool) -> list[str]:
    """The cells of a column, equally wide: some characters take two places, or none."""
    width = max(map(cell_len, cells))
    texts = [cell.rstrip() for cell in cells]
    spaces = [" " * (width - cell_len(text)) for text in texts]
    pairs = zip(texts, spaces, strict=True) if to_the_left else zip(spaces, texts, strict=True)
    return list(map("".join, pairs))


def _wrapped(text: str) -> str:
    return textwrap.fill(printable(text), _WIDTH, break_long_words=False, break_on_hyphens=False)
