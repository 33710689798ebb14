"""How runs and cells differ, with the uncertainty of it: what a report says of two things.

Frozen values alone. A pair is about two trained models on the same images; a statement about two
losses needs several seeds, and :class:`Difference` says which of the two it is.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from ltcore.measures import Interval

if TYPE_CHECKING:
    from ltcore.components import Seeds

ALPHA = 0.05
ENOUGH_SEEDS = 3
"""Seeds that a statement about two losses needs."""

Scope = Literal["models", "seeds", "unpaired"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two trained models on the same images of one view.

    Attributes:
        backbone: of both.
        first, second: their losses.
        seeds: of both.
        view: whose images they are compared on.
        metric: what is compared.
        reason: ``baseline`` and ``best`` say that the second is that; ``all`` that all were asked
            for.
        difference: the first's value minus the second's.
        interval: 95 % interval of the difference by paired bootstrap; None where not asked for.
        only_first, only_second: images that one of them alone has right; top-1 alone.
        p: of the exact McNemar test for top-1; of other metrics twice the smaller share of the
            bootstrap's differences on one side of nothing.
        p_corrected: the same after Holm's correction over the family.
        family: tests in the family: one training set, recipe, backbone, view and metric.
    """

    backbone: str
    first: str
    second: str
    seeds: Seeds
    view: str
    metric: str
    reason: Literal["baseline", "best", "all"]
    difference: float
    interval: Interval | None
    only_first: int | None
    only_second: int | None
    p: float
    p_corrected: float
    family: int

    @property
    def separable(self) -> bool:
        """Whether the corrected test tells the two models apart."""
        return self.p_corrected < ALPHA

    def to_record(self) -> dict[str, Any]:
        """The pair as JSON holds it."""
        names = (
            "backbone",
            "first",
            "second",
            "view",
            "metric",
            "reason",
            "difference",
            "only_first",
            "only_second",
            "p",
            "p_corrected",
            "family",
        )
        low, high = self.interval or (None, None)
        record = {name: getattr(self, name) for name in names}
        return record | {"seed": self.seeds.init, "low": low, "high": high}


@dataclass(frozen=True, slots=True)
class Difference:
    """What one cell has more than another.

    Attributes:
        backbone, loss: of the first cell.
        against: the second: a loss, or the setting of the same loss.
        view, metric: what is compared, on which images.
        mean: over the pairs of runs with equal seeds, of the first's value minus the second's.
        std: over them, of the sample (ddof 1); None for fewer than two.
        seeds: how many pairs there are.
        interval: 95 %; None where nothing can be said, or where it was not asked for.
        scope: what the interval is about. ``models``: the two trained models (one seed; paired
            bootstrap of the images). ``seeds``: the losses (a t interval over the pairs, at least
            three). ``unpaired``: two shares without predictions (Newcombe).
    """

    backbone: str
    loss: str
    against: str
    view: str
    metric: str
    mean: float
    std: float | None
    seeds: int
    interval: Interval | None
    scope: Scope | None

    @property
    def separable(self) -> bool:
        """Whether the interval leaves out nothing; False where there is none."""
        return self.interval is not None and not self.interval.holds(0.0)

    def to_record(self) -> dict[str, Any]:
        """The difference as JSON holds it."""
        names = ("backbone", "loss", "against", "view", "metric", "mean", "std", "seeds", "scope")
        low, high = self.interval or (None, None)
        return {**{name: getattr(self, name) for name in names}, "low": low, "high": high}


@dataclass(frozen=True, slots=True)
class PublishedDifference:
    """An accuracy of ours against a published one.

    Attributes:
        reference: the reference's name.
        source: where the accuracy is published.
        recipe: how it was trained, where that is known: a key of the reference's recipes.
        label: what the row's names do not say.
        remembered: whether the published value was not read again.
        published: the published share, in [0, 1].
        published_n: the images behind it; None where that is not known.
        difference: ours minus the published one.
        interval: its 95 % interval, as if of different images; None where ``published_n`` is.
    """

    reference: str
    source: str
    recipe: str | None
    label: str | None
    remembered: bool
    published: float
    published_n: int | None
    difference: float
    interval: Interval | None

    @property
    def separable(self) -> bool | None:
        """Whether the interval leaves out 0; None where there is none."""
        return None if self.interval is None else not self.interval.holds(0.0)


@dataclass(frozen=True, slots=True)
class Published:
    """A cell set against one published accuracy.

    Attributes:
        setting, backbone, loss, view: which cell, on which images.
        difference: between the two.
    """

    setting: str
    backbone: str
    loss: str
    view: str
    difference: PublishedDifference

    def to_record(self) -> dict[str, Any]:
        """The difference as JSON holds it."""
        place = {name: getattr(self, name) for name in ("setting", "backbone", "loss", "view")}
        found = self.difference
        names = (item.name for item in fields(found) if item.name != "interval")
        low, high = found.interval or (None, None)
        return {**place, **{name: getattr(found, name) for name in names}, "low": low, "high": high}
