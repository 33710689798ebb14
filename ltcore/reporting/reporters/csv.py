"""The report for spreadsheets and data frames: one row a run and view."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from itertools import chain
from typing import Any, ClassVar

from ltcore.comparison import Comparison
from ltcore.components import Reporter
from ltcore.errors import flat
from ltcore.records import as_rows

_BEGINS_A_FORMULA = ("=", "+", "-", "@")


class Csv(Reporter):
    """One row a run and view, with every metric at full precision; empty where not known."""

    name: ClassVar[str] = "csv"
    suffix: ClassVar[str] = ".csv"

    def render(self, comparison: Comparison) -> str:
        """Render the comparison's records."""
        rows = as_rows(comparison)
        first = next(rows, None)
        text = _line(first or ("setting", "name", "view"))
        for row in chain([first] if first else [], rows):
            text += _line(_cell(value) for value in row.values())  # grows in place, unlike a join
        return text


def _line(values: Iterable[Any]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(values)
    return stream.getvalue()


def _cell(value: Any) -> Any:
    """A value; text that a spreadsheet would compute begins with an apostrophe."""
    if isinstance(value, tuple):
        return " ".join(map(repr, value))
    if not isinstance(value, str):
        return value
    text = flat(value)
    return f"'{text}" if text.startswith(_BEGINS_A_FORMULA) else text
