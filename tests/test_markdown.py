"""The Markdown report: tables that a Markdown reader draws, with names as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

import ltcore
from ltcore.reporting.reporters.markdown import Markdown
from ltcore.testing.comparisons import comparison_with_gaps, hostile_comparison, plain_comparison


def tables_of(text):
    """The tables as a CommonMark reader with GitHub's tables draws them: rows of cells."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    tables, inside = [], False
    for token in tokens:
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type in ("th_open", "td_open"):
            inside = True
        elif token.type == "inline" and inside:
            words = (child.content for child in token.children or ())
            tables[-1][-1].append("".join(words))
            inside = False
    return tables


@pytest.mark.parametrize("make", [plain_comparison, comparison_with_gaps, hostile_comparison])
def test_markdown_tables_are_whole(make):
    comparison = make()
    reporter = Markdown(interval=True, pairs=True)
    tables = tables_of(reporter.render(comparison))
    sections = reporter.layout(comparison).sections(comparison)
    expected = [table for section in sections for table in section.tables]
    assert len(tables) == len(expected) > 0
    for drawn, table in zip(tables, expected, strict=True):
        assert len(drawn) == 1 + len(table.rows)
        assert {len(row) for row in drawn} == {len(table.columns)}


def test_markdown_marks_the_best_bold():
    comparison = plain_comparison()
    text = Markdown(views=("balanced",)).render(comparison)
    cells = comparison.settings[0].cells.values()
    best = max(cell.means["balanced"]["top1"].mean for cell in cells)
    assert f"| **{100 * best:.2f}±" in text


def test_markdown_shows_names_as_they_are():
    comparison = plain_comparison()
    name = "a|b *c* `d` <script>alert(1)</script> [e](f) \\ _g_"
    text = Markdown().render(replace(comparison, warnings=(name,)))
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert "<p>Warning: a|b *c* `d` &lt;script&gt;alert(1)&lt;/script&gt; [e](f) \\ _g_</p>" in html
    assert "<script>" not in html


def test_markdown_of_nothing_says_so():
    assert "No runs." in Markdown().render(ltcore.report([]))
