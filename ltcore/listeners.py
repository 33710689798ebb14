"""Tell plugins what happens to a run: one that raises is switched off, a slow one is named."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from typing import Any

from ltcore.errors import LtcoreWarning, one_line
from ltcore.plugins import Plugin

SLOW_SECONDS = 10.0


class Listeners:
    """The plugins that listen to one run."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self._plugins = list(plugins)
        self._named_as_slow: set[Plugin] = set()

    def notify(self, hook: str, **values: Any) -> None:
        """Call one notification hook of every listener.

        A listener that raises is switched off with one warning; the first time that one takes
        longer than 10 seconds it is named in a warning.
        """
        for plugin in tuple(self._plugins):
            begun = time.monotonic()
            try:
                getattr(plugin.manager.hook, hook)(**values)
            except (Exception, SystemExit) as error:  # a stranger's code; the run goes on
                self._plugins.remove(plugin)
                _warn(
                    f"{plugin.source} is switched off for this run: {hook} raised {one_line(error)}"
                )
                continue
            seconds = time.monotonic() - begun
            if seconds > SLOW_SECONDS and plugin not in self._named_as_slow:
                self._named_as_slow.add(plugin)
                _warn(f"{plugin.source} holds up the run: {hook} took {seconds:.0f} s")


def _warn(message: str) -> None:
    warnings.warn(message, LtcoreWarning, stacklevel=3)
