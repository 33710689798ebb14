"""The report as one page for a browser; what draws and lays it out is imported when it is made."""

from __future__ import annotations

from importlib import import_module
from typing import ClassVar

from ltcore.comparison import Comparison
from ltcore.components import Field
from ltcore.errors import SurroundingsError
from ltcore.reporting.reporters.options import TablesReporter

_PACKAGES = ("jinja2", "matplotlib")


class Html(TablesReporter):
    """One page with tables that sort, figures, and each run's spec, epochs and confusions.

    The page holds everything it needs and opens from disk, without a network.
    """

    name: ClassVar[str] = "html"
    suffix: ClassVar[str] = ".html"
    wants_details: ClassVar[bool] = True

    interval: bool = Field(default=True, description="Show 95 % intervals.")

    def render(self, comparison: Comparison) -> str:
        """Render the comparison, whole.

        Raises:
            SurroundingsError: a package that draws or lays out the page is not installed.
            SpecError: a metric that was not computed, or a view that no run has.
        """
        for package in _PACKAGES:
            try:
                import_module(package)
            except ImportError as error:
                raise SurroundingsError(
                    f"html: the report needs {package}, which cannot be imported ({error}). "
                    "Install it: pip install 'ltcore[html]'"
                ) from error
        from ltcore.reporting.reporters.html.page import page_of

        return page_of(comparison, tuple(self.layout(comparison).sections(comparison)))
