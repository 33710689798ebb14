"""A run's accuracies against published ones: which rows go with it, and how far they lie apart.

Plain arguments alone: nothing here reads a results file or a reference.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ltcore.comparison import Cell
from ltcore.differences import Published, PublishedDifference
from ltcore.reporting.evidence import Evidence
from ltcore.reporting.grouping import Group
from ltcore.reporting.intervals import newcombe_interval
from ltcore.reporting.labels import parameters_of, plain_name

if TYPE_CHECKING:
    from ltcore.reporting.reference import Reference, ReferenceRow


def published_in(groups: Iterable[Group], references: Sequence[Reference]) -> list[Published]:
    """Set every cell's top-1 against what the references publish of it.

    Args:
        groups: the settings of a comparison.
        references: in the order of the result.
    """
    return [
        Published(group.setting.label, cell.backbone, cell.loss, view, difference)
        for group in groups
        for place, cell in group.setting.cells.items()
        for reference in references
        for view, difference in _of_cell(group, cell, group.evidence[place][0], reference)
    ]


def _of_cell(
    group: Group, cell: Cell, one: Evidence, reference: Reference
) -> Iterator[tuple[str, PublishedDifference]]:
    adjustment = one.run.adjustment
    if adjustment is not None and (adjustment.temperature or len(adjustment.tau or ()) != 1):
        return
    dataset, parameters = group.key.dataset
    factor = dict(parameters).get("imbalance_factor")
    for view, means in cell.means.items():
        mean = means["top1"].mean
        if mean is None:
            continue
        rows = published_rows(
            reference,
            dataset=plain_name(dataset),
            train=group.setting.train,
            imbalance_ratio=_ratio(factor),
            backbone=plain_name(one.backbone[0]),
            loss=plain_name(one.loss[0]),
            view=view,
            parameters=dict(one.loss[1]),
            logit_adjustment=adjustment.tau[0] if adjustment and adjustment.tau else None,
        )
        for row in rows:
            yield view, against(mean, one.run.metrics[view].n, reference, row, view)


def published_rows(
    reference: Reference,
    *,
    dataset: str,
    train: str,
    imbalance_ratio: float | None,
    backbone: str,
    loss: str,
    view: str,
    parameters: Mapping[str, Any] | None = None,
    logit_adjustment: float | None = None,
) -> tuple[ReferenceRow, ...]:
    """The rows that publish what a run measured, in the reference's order.

    Recipes are not compared: a row says which one it has.

    Args:
        reference: to look in.
        dataset: the run's, by its name alone.
        train: ``balanced`` or ``long_tailed``.
        imbalance_ratio: the largest class count over the smallest, as the spec asks for it (1 over
            the imbalance factor); None where nothing was asked for.
        backbone: the run's, by its name alone.
        loss: the run's, by its name alone.
        view: the rows have this one.
        parameters: those of the loss, nested or by dotted name. A row that states another value is
            left out, and so is one with deferred re-weighting (``drw``) for a run without, and the
            other way round.
        logit_adjustment: the tau of logits that were adjusted after training.
    """
    own = dict(parameters_of(parameters or {}))
    deferred = any(name.startswith("drw.") for name in own)
    return tuple(
        row
        for row in reference.rows
        if (row.dataset, row.train, row.backbone, row.loss) == (dataset, train, backbone, loss)
        and view in row.top1
        and _goes_with(row.imbalance_ratio, imbalance_ratio)
        and row.drw == deferred
        and row.logit_adjustment == logit_adjustment
        and all(own.get(name, value) == value for name, value in parameters_of(row.parameters))
    )


def against(
    share: float, n: float, reference: Reference, row: ReferenceRow, view: str
) -> PublishedDifference:
    """Set a share against the one that a row publishes of the same view.

    The interval is Newcombe's, for shares of different images: which images the published run got
    right is not known, so that nothing can be paired.

    Args:
        share: ours, in [0, 1].
        n: the images behind it, above 0.
        reference: that of the row.
        row: one that has the view.
        view: its name.
    """
    published, published_n = row.top1[view], reference.images.get(view)
    return PublishedDifference(
        reference=reference.name,
        source=row.source or reference.source,
        recipe=row.recipe,
        label=row.label,
        remembered=row.evidence == "remembered",
        published=published,
        published_n=published_n,
        difference=share - published,
        interval=newcombe_interval(share, n, published, published_n) if published_n else None,
    )


def _ratio(factor: str | None) -> float | None:
    """1 over an imbalance factor; None for none, and for what a stranger's spec may call one."""
    try:
        return None if factor is None else 1 / float(factor)
    except (ValueError, ZeroDivisionError):
        return None


def _goes_with(published: float | None, ratio: float | None) -> bool:
    """Whether two imbalance ratios are one but for the rounding of 1 over the factor."""
    if published is None:
        return True
    return ratio is not None and math.isclose(published, ratio, rel_tol=1e-6)
