"""Whether seeds decide between the losses of a setting, or tests of single models do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ltcore.comparison import Setting

if TYPE_CHECKING:
    from ltcore.components import Seeds


def repeated_backbones(setting: Setting) -> frozenset[str]:
    """The backbones whose losses have two seeds or more in common.

    What is said of their losses comes from the seeds, not from tests of single models.
    """
    common: dict[str, set[Seeds]] = {}
    for (backbone, _), cell in setting.cells.items():
        seeds = {run.seeds for run in cell.runs if not run.published}
        if seeds:
            common[backbone] = common.get(backbone, seeds) & seeds
    return frozenset(backbone for backbone, seeds in common.items() if len(seeds) > 1)


def family_sizes(setting: Setting, metric: str) -> tuple[int, int] | None:
    """Over how few and how many tests of a metric p was corrected; None where none decides."""
    repeated = repeated_backbones(setting)
    sizes = [
        pair.family
        for pair in setting.pairs
        if pair.metric == metric and pair.backbone not in repeated
    ]
    return (min(sizes), max(sizes)) if sizes else None
