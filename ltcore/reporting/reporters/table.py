"""The report for people at a terminal."""

from __future__ import annotations

import io
import textwrap
from typing import ClassVar, Literal

from ltcore.comparison import Comparison
from ltcore.errors import printable
from ltcore.reporting.reporters.options import TablesReporter
from ltcore.reporting.text_tables import TextTable

_WIDTH = 100
_UNLIMITED = 10_000
_BEST = "*"


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
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in content.columns:
        # Titles of two words stand in two lines, so that six columns fit a terminal.
        lines = printable(column.title).split(" ")
        if column.images is not None:
            lines.append(f"n={column.images:,}")
        heading = Text("\n".join(lines))
        justify: Literal["left", "right"] = "left" if column.is_text else "right"
        table.add_column(heading, justify=justify, no_wrap=True, vertical="bottom")
    marked = any(value.best or value.mark for row in content.rows for value in row.values)
    space = " " if marked else ""  # keeps the digits of a column aligned
    for row in content.rows:
        label = f"{printable(row.label)} {row.marks}".rstrip()
        values = (printable(v.text) + (_BEST if v.best else v.mark or space) for v in row.values)
        table.add_row(Text(label), *map(Text, values))
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=_UNLIMITED,
        color_system=None,
        force_terminal=False,
        force_jupyter=False,
        legacy_windows=False,
    )
    console.print(table)
    title = f"{content.title}; {_BEST} {content.best}" if content.best else content.title
    lines = [_wrapped(title), *(line.rstrip() for line in stream.getvalue().splitlines())]
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    return textwrap.fill(printable(text), _WIDTH, break_long_words=False, break_on_hyphens=False)
