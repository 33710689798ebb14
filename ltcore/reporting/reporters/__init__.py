"""The reporters that come with ltcore, by name: components like any plugin's, imported when asked.

Their names are reserved, so that a report with one of them never needs to load a plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ltcore.components import Reporter


class Wants(NamedTuple):
    """What a reporter needs computed beside the metrics that are asked for."""

    every_metric: bool = False
    details: bool = False
    every_pair: bool = False


BUILTIN: Mapping[str, Wants] = {
    "table": Wants(),
    "markdown": Wants(),
    "latex": Wants(),
    "csv": Wants(every_metric=True),
    "json": Wants(every_metric=True, every_pair=True),
    "html": Wants(details=True),
}
"""The built-in reporters: files can be read before their modules are imported."""

RESERVED_NAMES = tuple(BUILTIN)


def builtin_reporter(name: str) -> type[Reporter] | None:
    """The built-in reporter of a name: the class that its module has under it; None for another."""
    if name not in BUILTIN:
        return None
    reporter: type[Reporter] = getattr(import_module(f"{__name__}.{name}"), name.title())
    return reporter


def builtin_reporters() -> dict[str, type[Reporter]]:
    """The built-in reporters by name."""
    found = {name: builtin_reporter(name) for name in BUILTIN}
    return {name: reporter for name, reporter in found.items() if reporter is not None}
