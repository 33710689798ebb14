"""The options that all reporters of tables take."""

from __future__ import annotations

from ltcore.comparison import Comparison
from ltcore.components import Field, Reporter
from ltcore.reporting.layout import Layout


class TablesReporter(Reporter):
    """What a reporter of tables shows of a comparison."""

    metrics: tuple[str, ...] = Field(
        default=("top1",), description="What the tables show; 'all' is a table for each metric."
    )
    digits: int = Field(default=2, ge=0, le=15, description="Decimals.")
    views: tuple[str, ...] = Field(
        default=(),
        description="The columns, such as many, medium and few; the study's where empty.",
    )
    sort: str | None = Field(
        default=None, description="The view by which rows are sorted, the best first."
    )
    interval: bool = Field(default=False, description="Show 95 % intervals.")
    pairs: bool = Field(default=False, description="Show the tests between trained models.")

    def layout(self, comparison: Comparison) -> Layout:
        """The tables that these options ask for."""
        return Layout(
            metrics=tuple(comparison.metrics) if "all" in self.metrics else self.metrics,
            digits=self.digits,
            views=self.views,
            sort=self.sort,
            interval=self.interval,
            pairs=self.pairs,
        )
