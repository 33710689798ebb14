"""The report for a README, an issue or a notebook."""

from __future__ import annotations

import re
from typing import ClassVar

from ltcore.comparison import Comparison
from ltcore.errors import flat
from ltcore.reporting.reporters.options import TablesReporter
from ltcore.reporting.text_tables import Section, TextTable

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&])")


class Markdown(TablesReporter):
    """The tables in GitHub's Markdown; the best of a column is bold."""

    name: ClassVar[str] = "markdown"
    suffix: ClassVar[str] = ".md"

    def render(self, comparison: Comparison) -> str:
        """Render the comparison, whole."""
        blocks = ["# Long-tailed recognition report"]
        for section in self.layout(comparison).sections(comparison):
            blocks += _section(section)
        if not comparison.runs:
            blocks.append("No runs.")
        if comparison.warnings:
            blocks.append("\n".join(f"- Warning: {_escaped(text)}" for text in comparison.warnings))
        if comparison.unreadable:
            blocks.append(f"Not in this report, {len(comparison.unreadable)} unreadable:")
            errors = comparison.unreadable.values()
            blocks.append("\n".join(f"- {_escaped(str(error))}" for error in errors))
        return "\n\n".join(blocks) + "\n"


def _section(section: Section) -> list[str]:
    blocks = [f"## {_escaped(section.title)}"]
    for table in section.tables:
        title = f"{table.title}; bold: {table.best}" if table.best else table.title
        blocks += [f"### {_escaped(title)}", _table(table)]
    if section.notes:
        blocks.append("\n".join(f"- {_escaped(note)}" for note in section.notes))
    return blocks


def _table(table: TextTable) -> str:
    lines = [
        [
            _escaped(column.title) + ("" if column.images is None else f" n={column.images:,}")
            for column in table.columns
        ],
        [":--" if column.is_text else "--:" for column in table.columns],
    ]
    for row in table.rows:
        values = (
            f"**{_escaped(value.text)}**" if value.best else _escaped(value.text + value.mark)
            for value in row.values
        )
        lines.append([_escaped(f"{row.label} {row.marks}".rstrip()), *values])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", flat(text))
