"""The report for a paper."""

from __future__ import annotations

from typing import ClassVar

from ltcore.comparison import Comparison
from ltcore.errors import flat
from ltcore.reporting.reporters.options import TablesReporter
from ltcore.reporting.text_tables import Column, Section, TextTable, Value

_PREAMBLE = r"""% Compile this as it is, or copy its tables into a paper that uses these packages.
\documentclass{article}
\usepackage[T1]{fontenc}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\usepackage[utf8]{inputenc}
\usepackage[a4paper,margin=2cm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\begin{document}
"""
_END = "\\end{document}\n"
_WIDE = 6  # columns; wider tables are scaled to the page

_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "#": r"\#",
        "%": r"\%",
        "_": r"\_",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': "''",
        "`": r"\`{}",
        "[": "{[}",  # not the argument of a command before it
        "]": "{]}",
        "±": r"\ensuremath{\pm}",
        "—": r"\textemdash{}",
        "†": r"\textdagger{}",
        "‡": r"\textdaggerdbl{}",
        "§": r"\S{}",
        "¶": r"\P{}",
        "°": r"\ensuremath{^\circ}",
    }
)


class Latex(TablesReporter):
    """The tables in LaTeX with booktabs: a document that compiles; the best of a column is bold."""

    name: ClassVar[str] = "latex"
    suffix: ClassVar[str] = ".tex"

    def render(self, comparison: Comparison) -> str:
        """Render the comparison, whole."""
        blocks = [_PREAMBLE.rstrip()]
        for section in self.layout(comparison).sections(comparison):
            blocks += _section(section)
        if not comparison.runs:
            blocks.append("No runs.")
        blocks += [f"Warning: {_escaped(text)}" for text in comparison.warnings]
        if comparison.unreadable:
            blocks.append(f"Not in this report, {len(comparison.unreadable)} unreadable:")
            blocks += [_escaped(str(error)) for error in comparison.unreadable.values()]
        return "\n\n".join(blocks) + "\n\n" + _END


def _section(section: Section) -> list[str]:
    blocks = [f"\\section*{{{_escaped(section.title)}}}"]
    blocks += map(_table, section.tables)
    if section.notes:
        notes = "\n".join(f"\\item {_escaped(note)}" for note in section.notes)
        blocks.append(f"\\begin{{itemize}}\n{notes}\n\\end{{itemize}}")
    return blocks


def _table(table: TextTable) -> str:
    title = f"{table.title}; bold: {table.best}" if table.best else table.title
    alignment = "".join("l" if column.is_text else "r" for column in table.columns)
    lines = [" & ".join(map(_heading, table.columns)), r"\midrule"]
    for row in table.rows:
        label = _escaped(f"{row.label} {row.marks}".rstrip())
        lines.append(" & ".join((label, *map(_value, row.values))))
    body = "\n".join(line if line.startswith("\\midrule") else f"{line} \\\\" for line in lines)
    tabular = (
        f"\\begin{{tabular}}{{{alignment}}}\n\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}"
    )
    if len(table.columns) > _WIDE:
        tabular = f"\\resizebox{{\\textwidth}}{{!}}{{%\n{tabular}}}"
    return (
        f"\\begin{{table}}[!htbp]\n\\centering\n\\caption{{{_escaped(title)}}}\n{tabular}\n"
        "\\end{table}"
    )


def _heading(column: Column) -> str:
    images = "" if column.images is None else f" ({column.images:,})"
    return _escaped(column.title + images)


def _value(value: Value) -> str:
    text = _escaped(value.text if value.best else value.text + value.mark)
    if value.number is not None:
        text = text.replace("-", r"\ensuremath{-}")  # a minus sign, not a hyphen
    return f"\\textbf{{{text}}}" if value.best else text


def _escaped(text: str) -> str:
    """Text that LaTeX prints as it is; what its fonts lack is written by code point."""
    escaped = flat(text).translate(_ESCAPES)
    return "".join(
        character if character.isascii() or character in _LATIN else f"[U+{ord(character):04X}]"
        for character in escaped
    )


_LATIN = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿ")
