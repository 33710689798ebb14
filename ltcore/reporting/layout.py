"""The comparison laid out as tables of text: what all reporters of tables have in common.

Which tables there are, which columns, and in which order the rows stand; nothing here knows in
what form they are shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ltcore.comparison import VIEWS, Comparison, Setting, in_view_order
from ltcore.errors import SpecError
from ltcore.mistakes import did_you_mean
from ltcore.reporting.accuracy_tables import AccuracyTables
from ltcore.reporting.across_tables import AcrossTables
from ltcore.reporting.difference_tables import DifferenceTables
from ltcore.reporting.text_tables import Column, Section, TextTable, Writer, view_title


@dataclass(frozen=True)
class Layout:
    """What of a comparison to show, and how.

    Attributes:
        metrics: a table each.
        digits: decimals.
        views: the columns; those of the study, and what the report was asked for, where empty.
        sort: a view, by whose values rows are sorted, the best first; by name where None.
        interval: show the 95 % intervals.
        pairs: show the tests between trained models.
    """

    metrics: tuple[str, ...] = ("top1",)
    digits: int = 2
    views: tuple[str, ...] = ()
    sort: str | None = None
    interval: bool = False
    pairs: bool = False

    def sections(self, comparison: Comparison) -> Iterator[Section]:
        """Lay out one setting after the other, then what goes across settings.

        Raises:
            SpecError: a metric that was not computed, or a view that no run has and that is none
                of ltcore's.
        """
        self._check(comparison)
        writers = [Writer(comparison.metrics[metric], self.digits) for metric in self.metrics]
        for setting in comparison.settings:
            yield self._setting(comparison, setting, writers)
        top1 = Writer(comparison.metrics["top1"], self.digits)
        across = AcrossTables(top1, self._columns(comparison), self.interval)
        yield from across.sections(comparison)

    def _setting(self, comparison: Comparison, setting: Setting, writers: list[Writer]) -> Section:
        columns = self._columns(comparison, setting)
        tables: list[TextTable] = []
        notes: dict[str, None] = {}
        for writer in writers:
            accuracies = AccuracyTables(writer, columns, self.sort, self.interval)
            differences = DifferenceTables(writer, columns, self.interval)
            tables += accuracies.by_loss(setting)
            tables += accuracies.averages(setting)
            tables += differences.gains(setting)
            tables += differences.pairs(setting) if self.pairs else ()
            notes |= dict.fromkeys((*accuracies.notes(setting), *differences.notes(setting)))
        return Section(_describe(setting), tuple(tables), tuple(notes))

    def _columns(self, comparison: Comparison, setting: Setting | None = None) -> dict[str, Column]:
        settings = comparison.settings if setting is None else (setting,)
        sizes = {
            view: metrics.n
            for of in settings
            for cell in of.cells.values()
            for run in cell.runs
            for view, metrics in run.metrics.items()
        }
        whole = "balanced" if "balanced" in sizes or not sizes else "all"
        study = (whole, "long_tailed", "head", "middle", "tail", "balanced_tail")
        shown = self.views or dict.fromkeys((*study, *comparison.asked_views))
        return {view: Column(view_title(view), sizes.get(view, 0)) for view in shown}

    def _check(self, comparison: Comparison) -> None:
        known = {*VIEWS, *comparison.asked_views}
        known |= {view for run in comparison.runs for view in run.metrics}
        for option, views in (("views", self.views), ("sort", (self.sort,) if self.sort else ())):
            unknown = [view for view in views if view not in known]
            if unknown:
                found = ", ".join(in_view_order(known))
                raise SpecError(
                    f"{option}: no run has a view called {unknown[0]!r}. There are: {found}"
                )
        for metric in self.metrics:
            if metric not in comparison.metrics:
                hint = did_you_mean(metric, list(comparison.metrics))
                found = ", ".join(comparison.metrics)
                raise SpecError(
                    f"metric: no metric is called {metric!r}.{hint} There are: {found}, all"
                )


def _describe(setting: Setting) -> str:
    counts = setting.class_counts
    each = f"{max(counts):,}" + ("" if setting.train == "balanced" else f" to {min(counts):,}")
    return (
        f"{setting.label}: trained on {setting.dataset}, {sum(counts):,} images, "
        f"{len(counts):,} classes of {each}"
    )
