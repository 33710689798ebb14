"""The reporters that come with ltcore, by name: components like any plugin's, imported when asked.

Their names are reserved, so that a report with one of them never needs to load a plugin.
"""

from __future__ import annotations

from ltcore.components import Reporter

RESERVED_NAMES = ("table", "markdown", "latex", "csv", "json", "html")


def builtin_reporters() -> dict[str, type[Reporter]]:
    """The built-in reporters by name."""
    from ltcore.reporting.reporters.csv import Csv
    from ltcore.reporting.reporters.html import Html
    from ltcore.reporting.reporters.json import Json
    from ltcore.reporting.reporters.latex import Latex
    from ltcore.reporting.reporters.markdown import Markdown
    from ltcore.reporting.reporters.table import Table

    return {reporter.name: reporter for reporter in (Table, Markdown, Latex, Csv, Json, Html)}
