"""Tables of what goes across settings: controls, published values, the ensemble."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from ltcore.comparison import Comparison, Control, Ensemble
from ltcore.differences import Published, PublishedDifference
from ltcore.measures import Metrics
from ltcore.reporting.difference_tables import DifferenceTables, grouped
from ltcore.reporting.text_tables import (
    NO_VALUE,
    Column,
    Row,
    Section,
    TextTable,
    Value,
    Writer,
    view_title,
)


@dataclass(frozen=True)
class AcrossTables:
    """The tables of one metric.

    Attributes:
        writer: of the metric.
        columns: by view.
        interval: show 95 % intervals.
    """

    writer: Writer
    columns: Mapping[str, Column]
    interval: bool

    def sections(self, comparison: Comparison) -> Iterator[Section]:
        """What goes across settings: controls, published values, the ensemble."""
        for control in comparison.controls:
            tables = tuple(self._control(control))
            if tables:
                notes = tuple(self._tables.scopes(control.differences))
                title = f"{control.setting} minus {control.balanced}: what the training set costs"
                yield Section(title, tables, notes)
        if comparison.published:
            tables = tuple(self._published(comparison.published))
            note = (
                "[ ] Newcombe's 95 % interval of two shares of different images: published "
                "accuracies have no predictions to pair, and other recipes make other numbers"
            )
            yield Section("Against published accuracies", tables, (note,) if self.interval else ())
        if comparison.ensemble is not None:
            yield self._ensemble(comparison.ensemble)

    def _control(self, control: Control) -> Iterator[TextTable]:
        metric = self.writer.metric.name
        shown = [d for d in control.differences if d.metric == metric]
        for backbone, differences in grouped(shown, "backbone"):
            title = f"{backbone}: {control.setting} minus {control.balanced}, {self._tables.unit}"
            yield from self._tables.differences(title, "Loss", differences, "loss", set())

    def _published(self, published: Iterable[Published]) -> Iterator[TextTable]:
        columns = [
            *(Column(name, is_text=True) for name in ("Loss", "View")),
            *(Column(name) for name in ("Ours", "Published", "Difference")),
            *(Column(name, is_text=True) for name in ("Recipe", "Source")),
        ]
        for (setting, backbone), cells in groupby(
            published, key=lambda item: (item.setting, item.backbone)
        ):
            rows = tuple(
                Row(
                    item.loss,
                    "",
                    (
                        Value(view_title(item.view)),
                        self._plain(found.published + found.difference),
                        self._plain(found.published),
                        Value(self._text(found), number=found.difference),
                        Value(found.recipe or NO_VALUE),
                        Value(found.source + (" (from memory)" if found.remembered else "")),
                    ),
                )
                for item in cells
                for found in [item.difference]
                if item.view in self.columns
            )
            if rows:
                title = f"{setting}, {backbone}: {self.writer.metric.heading}"
                yield TextTable(title, "", tuple(columns), rows)

    def _text(self, found: PublishedDifference) -> str:
        interval = self.writer.interval(found.interval, signed=True) if self.interval else ""
        return self.writer.difference(found.difference) + interval

    def _ensemble(self, ensemble: Ensemble) -> Section:
        rows = [
            Row(
                f"{run.backbone} {run.loss}, seed {run.seed}",
                "",
                tuple(self._plain(_top1(run.metrics, view)) for view in self.columns),
            )
            for run in ensemble.members
        ]
        values = (self._plain(_top1(ensemble.metrics, view)) for view in self.columns)
        rows.append(Row("ensemble", "", tuple(values)))
        tables = [
            TextTable(
                f"Mean of the probabilities: {self.writer.metric.heading}",
                "",
                (Column("Run", is_text=True), *self.columns.values()),
                tuple(rows),
            )
        ]
        notes: tuple[str, ...] = ()
        if ensemble.best is not None:
            best = f"{ensemble.best.backbone} {ensemble.best.loss}, seed {ensemble.best.seed}"
            shown = [pair for pair in ensemble.gains if pair.view in self.columns]
            tables.append(
                self._tables.tests(f"The ensemble against {best}, {self._tables.unit}", shown)
            )
            notes = (f"{best} is the member that is best on its validation images.",)
        return Section(f"Ensemble of {len(ensemble.members)} runs", tuple(tables), notes)

    def _plain(self, value: float | None) -> Value:
        return Value(self.writer.number(value), number=value)

    @property
    def _tables(self) -> DifferenceTables:
        return DifferenceTables(self.writer, self.columns, self.interval)


def _top1(metrics: Mapping[str, Metrics], view: str) -> float | None:
    return metrics[view].top1 if view in metrics else None
