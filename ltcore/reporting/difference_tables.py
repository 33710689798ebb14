"""Tables of differences: gains over the baseline, and tests between trained models.

A difference says what it is about: two trained models, the losses over seeds, or shares that
cannot be paired.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ltcore.comparison import Setting
from ltcore.differences import ENOUGH_SEEDS, Difference, Pair
from ltcore.reporting.repetition import family_sizes
from ltcore.reporting.text_tables import (
    NO_VALUE,
    Column,
    Row,
    TextTable,
    Value,
    Writer,
    view_title,
)

_APART = "°"
_SCOPES = {
    "models": "[ ] of one seed: 95 % interval of these two trained models' difference, by paired "
    "bootstrap of the images; it says nothing of other seeds",
    "seeds": "[ ] of three seeds and more: 95 % t interval of the mean of the differences at equal "
    "seeds",
    "unpaired": "[ ] without predictions: Newcombe's 95 % interval of two shares of different "
    "images",
}


@dataclass(frozen=True)
class DifferenceTables:
    """The tables of one metric.

    Attributes:
        writer: of the metric.
        columns: by view.
        interval: show 95 % intervals.
    """

    writer: Writer
    columns: Mapping[str, Column]
    interval: bool

    def gains(self, setting: Setting) -> Iterator[TextTable]:
        """Each loss minus the baseline: a table a backbone, a row a loss."""
        tested = {
            (pair.backbone, pair.first, pair.second, pair.view)
            for pair in setting.pairs
            if pair.metric == self.writer.metric.name and pair.separable
        }
        for against, of_baseline in grouped(setting.gains, "against"):
            for backbone, differences in grouped(of_baseline, "backbone"):
                shown = [d for d in differences if d.metric == self.writer.metric.name]
                apart = {
                    (d.loss, d.view)
                    for d in shown
                    if d.seeds == 1 and (backbone, d.loss, against, d.view) in tested
                }
                title = f"{backbone}: gain over {against}, {self.unit}"
                yield from self.differences(title, "Loss", shown, "loss", apart)

    def pairs(self, setting: Setting) -> Iterator[TextTable]:
        """The tests between trained models: a table a backbone, a row a pair and view."""
        for backbone, pairs in grouped(setting.pairs, "backbone"):
            shown = [
                pair
                for pair in pairs
                if pair.metric == self.writer.metric.name and pair.view in self.columns
            ]
            if shown:
                yield self.tests(f"{backbone}: these two trained models, {self.unit}", shown)

    def notes(self, setting: Setting) -> Iterator[str]:
        """What the signs of the gains mean."""
        metric = self.writer.metric.name
        gains = [d for d in setting.gains if d.metric == metric and d.view in self.columns]
        if not gains:
            return
        yield from self.scopes(gains)
        family = family_sizes(setting, metric)
        if family:
            low, high = family
            m = low if low == high else f"{low} to {high}"
            yield (
                f"{_APART} one seed: these two trained models differ, p < 0.05 by the exact "
                f"McNemar test after Holm's correction over its column's tests, m = {m}"
                if metric == "top1"
                else f"{_APART} one seed: these two trained models differ, p < 0.05 by paired "
                f"bootstrap after Holm's correction over its column's tests, m = {m}"
            )
        few = sorted({d.loss for d in gains if d.seeds < ENOUGH_SEEDS and d.scope != "unpaired"})
        if few:
            yield (
                f"Fewer than {ENOUGH_SEEDS} seeds ({', '.join(few)}): too few to say anything of "
                "the losses; what is said is of these trained models."
            )

    @property
    def unit(self) -> str:
        metric = self.writer.metric
        return f"{metric.title} in points" if metric.percent else metric.title

    def differences(
        self,
        title: str,
        heading: str,
        differences: Iterable[Difference],
        name: str,
        apart: set[tuple[str, str]],
    ) -> Iterator[TextTable]:
        rows: dict[str, dict[str, Difference]] = {}
        for difference in differences:
            rows.setdefault(getattr(difference, name), {})[difference.view] = difference
        columns = {
            view: column
            for view, column in self.columns.items()
            if any(view in found for found in rows.values())
        }
        if not columns:
            return
        several = any(d.seeds > 1 for found in rows.values() for d in found.values())
        yield TextTable(
            title,
            "",
            (
                Column(heading, is_text=True),
                *((Column("Seeds"),) if several else ()),
                *columns.values(),
            ),
            tuple(
                Row(
                    label,
                    "",
                    (
                        *((_seeds(found.values()),) if several else ()),
                        *(self._difference(found.get(view), apart) for view in columns),
                    ),
                )
                for label, found in rows.items()
            ),
        )

    def _difference(self, found: Difference | None, apart: set[tuple[str, str]]) -> Value:
        if found is None:
            return Value(NO_VALUE)
        text = self.writer.difference(found.mean)
        if found.std is not None:
            text += f"±{self.writer.number(found.std)}"
        if self.interval:
            text += self.writer.interval(found.interval, signed=True)
        mark = _APART if (found.loss, found.view) in apart else ""
        return Value(text, mark=mark, number=found.mean)

    def tests(self, title: str, pairs: Iterable[Pair]) -> TextTable:
        texts = (Column("Models", is_text=True), Column("View", is_text=True))
        numbers = ("Seed", "Difference", "Only first", "Only second", "p", "p corrected", "m")
        columns = (*texts, *map(Column, numbers))
        return TextTable(title, "", columns, tuple(map(self._test, pairs)))

    def _test(self, pair: Pair) -> Row:
        interval = self.writer.interval(pair.interval, signed=True) if self.interval else ""
        return Row(
            f"{pair.first} minus {pair.second}",
            "",
            (
                Value(view_title(pair.view)),
                Value(str(pair.seeds.init), number=pair.seeds.init),
                Value(self.writer.difference(pair.difference) + interval, number=pair.difference),
                _whole(pair.only_first),
                _whole(pair.only_second),
                _probability(pair.p),
                _probability(pair.p_corrected),
                _whole(pair.family),
            ),
        )

    def scopes(self, differences: Iterable[Difference]) -> Iterator[str]:
        used = {d.scope for d in differences if d.interval is not None}
        if self.interval:
            yield from (text for scope, text in _SCOPES.items() if scope in used)


Item = TypeVar("Item")


def grouped(items: Iterable[Item], name: str) -> Iterator[tuple[str, list[Item]]]:
    """The items by one of their attributes, in the order of its first appearance."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(getattr(item, name), []).append(item)
    return iter(groups.items())


def _seeds(differences: Iterable[Difference]) -> Value:
    seeds = max(difference.seeds for difference in differences)
    return Value(str(seeds), number=seeds)


def _whole(value: int | None) -> Value:
    return Value(NO_VALUE if value is None else f"{value:,}", number=value)


def _probability(p: float) -> Value:
    return Value(f"{p:.3f}" if p >= 0.001 else f"{p:.0e}", number=p)
