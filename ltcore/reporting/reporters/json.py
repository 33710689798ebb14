"""The report for programs: every number at full precision."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from ltcore.comparison import Comparison
from ltcore.components import Reporter
from ltcore.records import json_parts


class Json(Reporter):
    """Runs, metrics and means as JSON, ASCII alone; a value that is not known is null."""

    name: ClassVar[str] = "json"
    suffix: ClassVar[str] = ".json"

    def render(self, comparison: Comparison) -> str:
        """Render the comparison, whole."""
        text = ""
        for piece in _pieces(comparison):
            text += piece  # grows in place: thousands of runs are never there as objects and text
        return text


def _pieces(comparison: Comparison) -> Iterator[str]:
    """What :func:`json.dumps` gives of the whole, one run and one difference after the other."""
    separator = "{"
    for name, part in json_parts(comparison).items():
        yield f'{separator}\n  "{name}": '
        if isinstance(part, Iterator):
            yield from _list(part)
        else:
            yield _indented(part, "  ")
        separator = ","
    yield "\n}\n"


def _list(items: Iterator[Any]) -> Iterator[str]:
    separator = "["
    for item in items:
        yield f"{separator}\n    {_indented(item, '    ')}"
        separator = ","
    yield "\n  ]" if separator == "," else "[]"


def _indented(value: Any, margin: str) -> str:
    return json.dumps(value, indent=2, allow_nan=False).replace("\n", f"\n{margin}")
