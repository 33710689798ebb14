"""Write the tables of ``study.md`` anew, from the accuracies that ltcore has of the study.

    python docs/study_tables.py

What stands between ``<!-- begin NAME -->`` and ``<!-- end -->`` is made here, the rest by hand.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from ltcore.measures import Interval
from ltcore.reporting.intervals import newcombe_interval
from ltcore.reporting.reference import ReferenceRow, load_reference

PAGE = Path(__file__).with_name("study.md")
PLACE = re.compile(
    r"(?P<begin><!-- begin (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)
STUDY = load_reference("study")
ROWS: Mapping[tuple[str, str, str], ReferenceRow] = {
    (row.train, row.backbone, str(row.loss)): row for row in STUDY.rows
}
BACKBONES = {
    "resnet50": "ResNet-50",
    "mobilenet_v2": "MobileNetV2",
    "vit_b_16": "ViT-B/16",
    "convnext_base": "ConvNeXt-Base",
}
LOSSES = {
    "cross_entropy": "cross-entropy",
    "focal": "focal",
    "weighted_cross_entropy": "weighted cross-entropy",
    "class_balanced": "class-balanced",
    "balanced_softmax": "balanced softmax",
    "equalization": "equalization",
    "ldam": "LDAM",
}
TRAIN = {"balanced": "balanced", "long_tailed": "long-tailed"}
VIEWS = {view: view.replace("_", "-") for view in STUDY.images}


class Difference(NamedTuple):
    """Two shares of one view: by how much the first is larger, with the 95 % interval."""

    value: float
    interval: Interval

    @property
    def separable(self) -> bool:
        return not self.interval.holds(0.0)

    def __str__(self) -> str:
        low, high = (f"{_tenths(end):+.1f}" for end in self.interval)
        text = f"{_tenths(self.value):+.1f} [{low}, {high}]"
        return f"**{text}**" if self.separable else text


def difference(row: ReferenceRow, other: ReferenceRow, view: str) -> Difference:
    """The first row's share minus the other's, of the images that they got right."""
    n = STUDY.images[view]
    share, other_share = right(row, view) / n, right(other, view) / n
    return Difference(share - other_share, newcombe_interval(share, n, other_share, n))


def right(row: ReferenceRow, view: str) -> int:
    """How many of a view's images were right: the published share has four decimals."""
    return round(row.top1[view] * STUDY.images[view])


def best_tail() -> str:
    """The study's headline: its two best tails after long-tailed training."""
    first, second = (
        ROWS["long_tailed", backbone, "balanced_softmax"]
        for backbone in ("resnet50", "convnext_base")
    )
    rows = [
        (BACKBONES[row.backbone], f"{right(row, 'tail')} of 38", f"{row.top1['tail']:.2%}")
        for row in (first, second)
    ]
    found = difference(first, second, "tail")
    return (
        f"{_table(('balanced softmax on', 'tail images right', 'top-1'), rows)}\n\n"
        f"Difference in points: {found}."
    )


def against_cross_entropy() -> str:
    """Each loss against cross-entropy after long-tailed training."""
    others = [loss for loss in LOSSES if loss != "cross_entropy"]
    parts = []
    for view in ("tail", "balanced"):
        rows = [
            (LOSSES[loss], *(_over_cross_entropy("long_tailed", b, loss, view) for b in BACKBONES))
            for loss in others
        ]
        parts.append(f"On the {STUDY.images[view]:,} images of `{view}`, in points:")
        parts.append(_table(("loss", *BACKBONES.values()), rows))
    counts = {}
    for view, title in VIEWS.items():
        found = [
            _over_cross_entropy("long_tailed", b, loss, view) for b in BACKBONES for loss in others
        ]
        better = sum(item.separable and item.value > 0 for item in found)
        worse = sum(item.separable and item.value < 0 for item in found)
        counts[title, STUDY.images[view]] = better, worse, len(found) - better - worse
    better, worse, neither = (sum(column) for column in zip(*counts.values(), strict=True))
    parts.append(
        f"{better + worse} of the {better + worse + neither} comparisons are separable, "
        f"{better} of them gains."
    )
    parts.append(
        _table(
            ("view", "images", "better", "worse", "not separable"),
            [
                *((title, f"{images:,}", *of) for (title, images), of in counts.items()),
                ("all", "", better, worse, neither),
            ],
        )
    )
    return "\n\n".join(parts)


def wins() -> str:
    """The best loss of each column against the second."""
    rows, separable, ties = [], 0, 0
    for train, backbone in ((t, b) for b in BACKBONES for t in TRAIN):
        cells = []
        for view in VIEWS:
            of_column = [ROWS[train, backbone, loss] for loss in LOSSES]
            first, second = sorted(of_column, key=lambda row: -right(row, view))[:2]
            found = difference(first, second, view)
            separable += found.separable
            ties += found.value == 0
            cells.append("tie" if found.value == 0 else f"{LOSSES[str(first.loss)]} {found}")
        table = ROWS[train, backbone, "cross_entropy"].table
        rows.append((f"{table}: {BACKBONES[backbone]}, {TRAIN[train]}", *cells))
    text = (
        f"Of the {len(rows) * len(VIEWS)} columns, {separable} have a best loss that is separable "
        f"from the second, and {ties} a tie for the first place."
    )
    return f"{text}\n\n{_table(('table', *VIEWS.values()), rows)}"


def noise() -> str:
    """What differs after balanced training, where nothing should."""
    rows = []
    for title, losses in (
        ("balanced softmax, equalization", ("balanced_softmax", "equalization")),
        ("weighted cross-entropy", ("weighted_cross_entropy",)),
        ("class-balanced", ("class_balanced",)),
    ):
        for view in ("balanced", "tail"):
            found = [
                _over_cross_entropy("balanced", backbone, loss, view)
                for loss in losses
                for backbone in BACKBONES
            ]
            values = [item.value for item in found]
            rms = math.sqrt(math.fsum(value**2 for value in values) / len(values))
            rows.append(
                (
                    title,
                    view,
                    f"{100 * rms:.2f}",
                    f"{100 * max(map(abs, values)):.2f}",
                    f"{sum(item.separable for item in found)} of {len(found)}",
                )
            )
    return _table(
        ("against cross-entropy", "view", "root mean square", "largest", "separable"), rows
    )


def benchmarks() -> str:
    """The study's best of seven losses beside the benchmarks of its table 4.9."""
    rows = []
    for benchmark in STUDY.benchmarks:
        of_backbone = [ROWS["balanced", benchmark.backbone, loss] for loss in LOSSES]
        best = max(row.top1["balanced"] for row in of_backbone)
        names = ", ".join(
            LOSSES[str(row.loss)] for row in of_backbone if row.top1["balanced"] == best
        )
        label = f"{benchmark.label} ({benchmark.note})" if benchmark.note else benchmark.label
        rows.append(
            (BACKBONES[benchmark.backbone], f"{best:.2%}", names, f"{benchmark.top1:.2%}", label)
        )
    return _table(("study", "best top-1", "of", "benchmark", "model"), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "best-tail": best_tail,
    "against-cross-entropy": against_cross_entropy,
    "wins": wins,
    "noise": noise,
    "benchmarks": benchmarks,
}


def renewed(page: str) -> str:
    """The page with its tables made anew.

    Raises:
        ValueError: a table has no place on the page, or a place no table.
    """
    names = [place["name"] for place in PLACE.finditer(page)]
    if sorted(names) != sorted(TABLES):
        raise ValueError(f"{PAGE.name} has places for {names}, and the tables are {[*TABLES]}")
    return PLACE.sub(
        lambda place: f"{place['begin']}\n{TABLES[place['name']]()}\n\n{place['end']}", page
    )


def _table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = [*columns]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _over_cross_entropy(train: str, backbone: str, loss: str, view: str) -> Difference:
    other = ROWS[train, backbone, "cross_entropy"]
    return difference(ROWS[train, backbone, loss], other, view)


def _tenths(share: float) -> float:
    """Points to one decimal; never minus zero."""
    return round(100 * share, 1) + 0.0


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PAGE}")
