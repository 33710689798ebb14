"""Tables of what was measured: each loss on each view, and means over losses and backbones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ltcore.comparison import Cell, Setting
from ltcore.measures import NO_MEAN, Mean, Means, MetricInfo
from ltcore.reporting.repetition import family_sizes, repeated_backbones
from ltcore.reporting.text_tables import CLOSE, Column, Row, TextTable, Value, Writer

NO_RUN = "no run"

_ROW_MARKS = {
    "†": "the test images chose the epoch",
    "‡": "no checksum in the file: its content is not verified",
    "§": "published accuracies; the predictions were made up to give them",
    "¶": "some runs have the same seeds: ± is not over seeds alone",
}
_INTERVAL_NOTE = (
    "[ ] after {title}: 95 % interval of this trained model on other images, {how}; it says "
    "nothing of other seeds"
)
_BY_SEEDS = (
    "by the t interval of the differences (three seeds and more); two seeds separate nothing"
)
_CLOSE_BY_SEEDS_NOTE = f"{CLOSE} not separable from the best of its column {_BY_SEEDS}"
_CLOSE_NOTE = (
    f"{CLOSE} not separable from the best of its column: by {{test}} of the two trained "
    f"models after Holm's correction over its column's tests, m = {{m}} (one seed); {_BY_SEEDS}"
)
_NO_SEED_NOTE = (
    f"{CLOSE} not separable from the best of its column: they have no seed in common, and models "
    "of other seeds are not tested against each other"
)
_UNPAIRED_NOTE = (
    f"{CLOSE} not separable from the best of its column by Newcombe's interval, which takes the "
    "two as tested on different images: there are no predictions to pair"
)


@dataclass(frozen=True)
class AccuracyTables:
    """The tables of one metric.

    Attributes:
        writer: of the metric.
        columns: by view.
        sort: the view that rows are sorted by; by name where None.
        interval: show 95 % intervals of single runs.
    """

    writer: Writer
    columns: Mapping[str, Column]
    sort: str | None
    interval: bool

    def by_loss(self, setting: Setting) -> Iterator[TextTable]:
        """A table a backbone, a row a loss."""
        for backbone in setting.by_backbone:
            cells = {loss: setting.cells.get((backbone, loss)) for loss in setting.by_loss}
            best, among = _best(list(cells.values()), self.columns, self._metric)
            several = has_seeds(setting)
            rows = [
                Row(
                    loss,
                    _marks(cell) if cell else "",
                    (
                        *((_count(cell),) if several else ()),
                        *(
                            self._value(cell, view, best, setting.inseparable)
                            for view in self.columns
                        ),
                    ),
                )
                for loss, cell in self._sorted(cells).items()
            ]
            headings = [Column("Loss", is_text=True), *((Column("Seeds"),) if several else ())]
            columns = (*headings, *self.columns.values())
            yield TextTable(f"{backbone}: {self._metric.heading}", among, columns, tuple(rows))

    def averages(self, setting: Setting) -> Iterator[TextTable]:
        """Each backbone over its losses and each loss over its backbones, ddof 0."""
        first = ", seeds averaged first" if has_seeds(setting) else ""
        backbones = len(setting.by_backbone)
        losses = len(setting.trained_losses)
        for title, over, of, groups in (
            ("Backbone", "losses", losses, setting.by_backbone),
            ("Loss", "backbones", backbones, setting.by_loss),
        ):
            if of > 1:
                yield TextTable(
                    f"Mean ± population std (ddof 0) over {of} {over}{first}: "
                    f"{self._metric.heading}",
                    "",
                    (Column(title, is_text=True), *self.columns.values()),
                    tuple(self._average(name, means, of) for name, means in groups.items()),
                )

    def notes(self, setting: Setting) -> Iterator[str]:
        """What the signs of these tables mean."""
        if has_seeds(setting):
            yield "± of a run: sample std over its seeds (ddof 1)"
        alone = [cell.runs[0] for cell in setting.cells.values() if len(cell.runs) == 1]
        metric = self._metric.name
        if self.interval and any(
            of.interval(metric) for run in alone for of in run.metrics.values()
        ):
            how = "Wilson's" if metric == "top1" else "by bootstrap of the images"
            yield _INTERVAL_NOTE.format(title=self._metric.title, how=how)
        used = {mark for cell in setting.cells.values() for mark in _marks(cell)}
        yield from (f"{mark} {text}" for mark, text in _ROW_MARKS.items() if mark in used)
        shown = [
            backbone
            for (backbone, view, metric), losses in setting.inseparable.items()
            if losses and metric == self._metric.name and view in self.columns
        ]
        family = family_sizes(setting, self._metric.name)
        if shown and family:
            low, high = family
            test = "the exact McNemar test" if self._metric.name == "top1" else "paired bootstrap"
            yield _CLOSE_NOTE.format(test=test, m=low if low == high else f"{low} to {high}")
            return
        by_seeds = not repeated_backbones(setting).isdisjoint(shown)
        if by_seeds:
            yield _CLOSE_BY_SEEDS_NOTE
        if shown and "§" in used:
            yield _UNPAIRED_NOTE
        elif shown and not by_seeds:
            yield _NO_SEED_NOTE

    @property
    def _metric(self) -> MetricInfo:
        return self.writer.metric

    def _sorted(self, cells: Mapping[str, Cell | None]) -> dict[str, Cell | None]:
        if self.sort is None:
            return dict(cells)
        sign = 1 if self._metric.lower_is_better else -1

        def place(loss: str) -> tuple[bool, float, str]:
            cell = cells[loss]
            mean = None if cell is None else _mean(cell.means, self.sort or "", self._metric).mean
            return mean is None, 0.0 if mean is None else sign * mean, loss

        return {loss: cells[loss] for loss in sorted(cells, key=place)}

    def _average(self, group: str, means: Means, of: int) -> Row:
        found = [_mean(means, view, self._metric) for view in self.columns]
        held = max((mean.values for mean in found), default=0)
        label = group if held == of else f"{group} ({held} of {of})"
        values = (Value(self._mean_text(mean), number=mean.mean) for mean in found)
        return Row(label, "", tuple(values))

    def _value(
        self,
        cell: Cell | None,
        view: str,
        best: Mapping[str, float],
        inseparable: Mapping[tuple[str, str, str], frozenset[str]],
    ) -> Value:
        if cell is None:
            return Value(NO_RUN)
        mean = _mean(cell.means, view, self._metric)
        text = self._mean_text(mean)
        if self.interval and len(cell.runs) == 1 and mean.values:
            text += self.writer.interval(cell.runs[0].metrics[view].interval(self._metric.name))
        close = cell.loss in inseparable.get((cell.backbone, view, self._metric.name), ())
        is_best = mean.mean is not None and mean.mean == best.get(view)
        return Value(text, is_best, CLOSE if close and not is_best else "", mean.mean)

    def _mean_text(self, mean: Mean) -> str:
        text = self.writer.number(mean.mean)
        return f"{text}±{self.writer.number(mean.std)}" if mean.values > 1 else text


def has_seeds(setting: Setting) -> bool:
    """Whether a cell has several runs."""
    return any(len(cell.runs) > 1 for cell in setting.cells.values())


def _count(cell: Cell | None) -> Value:
    runs = len(cell.runs) if cell else 0
    return Value(str(runs), number=runs)


def _mean(means: Means, view: str, metric: MetricInfo) -> Mean:
    return means[view][metric.name] if view in means else NO_MEAN


def _best(
    cells: Sequence[Cell | None], views: Iterable[str], metric: MetricInfo
) -> tuple[dict[str, float], str]:
    """The best value of each view, and what it is the best of; nothing is the best of one."""
    best: dict[str, float] = {}
    among = 0
    for view in views:
        means = (_mean(cell.means, view, metric).mean for cell in cells if cell is not None)
        values = [mean for mean in means if mean is not None]
        if len(values) > 1:
            best[view] = min(values) if metric.lower_is_better else max(values)
            among = len(values)  # of every view the same: the runs of a setting share their views
    return best, f"best of {among}, on this split" if best else ""


def _marks(cell: Cell) -> str:
    applies = {
        "†": any(run.chosen_on_test for run in cell.runs),
        "‡": not all(run.verified for run in cell.runs),
        "§": any(run.published for run in cell.runs),
        "¶": cell.repeats_seed,
    }
    return "".join(mark for mark, holds in applies.items() if holds)
