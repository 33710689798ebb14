"""The page: tables, figures and runs put into the template, with style and script inside.

Names come from files that anybody may have written. The template escapes every one of them, and
the page's security policy lets no script run but the one whose digest it names.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from ltcore.comparison import Comparison, Setting
from ltcore.errors import printable
from ltcore.reporting.reporters.html.accuracy_figures import (
    group_averages,
    groups_by_loss,
    head_against_tail,
)
from ltcore.reporting.reporters.html.class_figures import (
    accuracy_by_training_images,
    class_distribution,
    where_the_tail_goes,
)
from ltcore.reporting.reporters.html.drawing import COLOURS, Figure, drawing_style
from ltcore.reporting.reporters.html.run_figures import reliability_diagrams, training_curves
from ltcore.reporting.reporters.html.run_tables import runs_of
from ltcore.reporting.reporters.html.selection import Selection, select
from ltcore.reporting.reporters.html.svg import inline, symbol
from ltcore.reporting.text_tables import Section

_TEMPLATE, _STYLE, _SCRIPT = "template.html.j2", "style.css", "sort.js"
_FIGURES: tuple[Callable[[Setting, Selection], Iterator[Figure]], ...] = (
    class_distribution,
    group_averages,
    head_against_tail,
    groups_by_loss,
    accuracy_by_training_images,
    where_the_tail_goes,
    reliability_diagrams,
    training_curves,
)


@dataclass(frozen=True)
class _Drawings:
    """The figures of one setting."""

    title: str
    figures: tuple[Figure, ...]


def page_of(comparison: Comparison, sections: tuple[Section, ...]) -> str:
    """Make the page.

    Args:
        comparison: what it shows, with the runs' details where they are to be shown.
        sections: its tables.
    """
    style, script = (_resource(name) for name in (_STYLE, _SCRIPT))
    selection = select(comparison)
    with drawing_style():
        drawings = tuple(_drawings(setting, selection) for setting in selection.settings)
    runs = tuple(runs_of(comparison))
    template = _environment().get_template(_TEMPLATE)
    return template.render(
        comparison=comparison,
        sections=sections,
        drawings=drawings,
        note=selection.note,
        runs=runs,
        left_out=len(comparison.runs) - len(runs),
        style=Markup(style),  # noqa: S704 - ltcore's own
        script=Markup(script),  # noqa: S704
        style_digest=_digest(style),
        script_digest=_digest(script),
    )


def _drawings(setting: Setting, selection: Selection) -> _Drawings:
    figures = (figure for draw in _FIGURES for figure in draw(setting, selection))
    return _Drawings(setting.label, tuple(figures))


def _environment() -> Environment:
    environment = Environment(
        keep_trailing_newline=True,
        loader=DictLoader({_TEMPLATE: _resource(_TEMPLATE)}),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"inline": _inline, "symbol": _symbol}
    environment.filters["lines"] = _lines
    return environment


def _visible(value: Any) -> Any:
    """Text without characters that hide or steer; what is markup already stays."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _lines(text: str) -> Markup:
    """Text over several lines, each made visible."""
    return Markup("\n").join(printable(line) for line in text.split("\n"))


def _inline(svg: str, key: str, title: str, description: str) -> Markup:
    drawing = inline(
        svg,
        key=key,
        title=printable(title),
        description=printable(description),
        colours=COLOURS,
    )
    return Markup(drawing)  # noqa: S704 - escaped by the XML writer


def _symbol(svg: str, key: str) -> Markup:
    return Markup(symbol(svg, key=key, colours=COLOURS))  # noqa: S704 - ltcore's own


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """What a security policy calls an inline script or style sheet."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
