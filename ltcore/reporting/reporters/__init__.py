"""The reporters that come with ltcore, by name: components like any plugin's, imported when asked.

Their names are reserved, so that a report with one of them never needs to load a plugin.
"""

from __future__ import annotations

from importlib import import_module

from ltcore.components import Reporter

RESERVED_NAMES = ("table", "markdown", "latex", "csv", "json", "html")


def builtin_reporter(name: str) -> type[Reporter] | None:
    """The built-in reporter of a name: the class that its module has under it; None for another."""
    if name not in RESERVED_NAMES:
        return None
    reporter: type[Reporter] = getattr(import_module(f"{__name__}.{name}"), name.title())
    return reporter


def builtin_reporters() -> dict[str, type[Reporter]]:
    """The built-in reporters by name."""
    found = {name: builtin_reporter(name) for name in RESERVED_NAMES}
    return {name: reporter for name, reporter in found.items() if reporter is not None}
