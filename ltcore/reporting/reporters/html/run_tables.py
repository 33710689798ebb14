"""What the page says of each single run: facts, spec, epochs, and what the tail is taken for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ltcore.comparison import Comparison, Details, Run
from ltcore.reporting.text_tables import NO_VALUE, Column, Row, TextTable, Value
from ltcore.splits import GROUP_NAMES

MOST_RUNS = 200
_MOST_CONFUSIONS = 10
_TAIL = GROUP_NAMES.index("tail")


@dataclass(frozen=True)
class RunDetails:
    """One run's part of the page.

    Attributes:
        title: what tells it from others.
        facts: name -> value, as text.
        spec: JSON over several lines.
        tables: its epochs and its confusions, where they are known.
        notes: what a reader must know of it.
    """

    title: str
    facts: Mapping[str, str]
    spec: str
    tables: tuple[TextTable, ...]
    notes: tuple[str, ...]


def runs_of(comparison: Comparison) -> Iterator[RunDetails]:
    """The runs that have details, at most ``MOST_RUNS``."""
    detailed = [
        (setting.label, run, run.details)
        for setting in comparison.settings
        for cell in setting.cells.values()
        for run in cell.runs
        if run.details is not None
    ]
    for label, run, details in detailed[:MOST_RUNS]:
        yield _run(label, run, details)


def _run(setting: str, run: Run, details: Details) -> RunDetails:
    files = {} if run.path is None else {"file": run.path}
    facts = {"name": run.name, **files, **dict(_flat(details.facts))}
    return RunDetails(
        title=f"{setting}: {run.backbone}, {run.loss}, seed {run.seed}",
        facts=facts,
        spec=json.dumps(details.spec, indent=2, ensure_ascii=False),
        tables=(
            *([] if run.published else _confusions(details)),
            *_history(details),
        ),
        notes=tuple(_notes(run)),
    )


def _notes(run: Run) -> Iterator[str]:
    if run.chosen_on_test:
        yield "The test images chose the epoch."
    if not run.verified:
        yield "No checksum in the file: its content is not verified."
    if run.published:
        yield "Published accuracies: the predictions were made up to give them."


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value)


def _history(details: Details) -> Iterator[TextTable]:
    columns = {name: values for name, values in details.history.items() if name != "epoch"}
    if not columns:
        return
    epochs = max(len(values) for values in columns.values())
    best = details.facts.get("best_epoch")
    rows = tuple(
        Row(
            str(epoch),
            "←" if epoch == best else "",
            tuple(
                Value(f"{values[epoch]:.4g}" if epoch < len(values) else NO_VALUE)
                for values in columns.values()
            ),
        )
        for epoch in range(epochs)
    )
    headings = (Column("Epoch"), *(Column(name) for name in columns))
    chosen = "; ← the epoch that was tested" if best is not None else ""
    yield TextTable(f"Epochs, counted from 0{chosen}", "", headings, rows)


def _confusions(details: Details) -> Iterator[TextTable]:
    """The most frequent confusions of tail classes, on the whole test split."""
    wrong = details.confusion * (details.classes.groups == _TAIL)[:, None]
    np.fill_diagonal(wrong, 0)
    most = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    pairs = [divmod(int(cell), len(wrong)) for cell in most]
    names = details.classes.names
    rows = tuple(
        Row(
            names[label],
            "",
            (
                Value(names[taken]),
                Value(str(wrong[label, taken])),
                Value(f"{100 * wrong[label, taken] / details.images[label]:.1f}"),
            ),
        )
        for label, taken in pairs
        if wrong[label, taken]
    )
    if rows:
        yield TextTable(
            f"The {len(rows)} most frequent confusions of tail classes, on the whole test split",
            "",
            (
                Column("Class", is_text=True),
                Column("Taken for", is_text=True),
                Column("Images"),
                Column("Share in %"),
            ),
            rows,
        )
