"""From results files to the comparison: read, evaluate, group, test, and set beside references.

Nothing here computes a metric or knows how a report looks, and no more than one run's logits are
in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from ltcore.comparison import Comparison, Ensemble
from ltcore.errors import SpecError
from ltcore.mistakes import did_you_mean
from ltcore.reporting.analysis import DEFAULT_BASELINE, Analysis
from ltcore.reporting.ensembles import ensemble_of
from ltcore.reporting.environments import differing_environments
from ltcore.reporting.evidence import Evidence
from ltcore.reporting.gains import controls_of, gains_of, inseparable_of
from ltcore.reporting.grouping import Group, group
from ltcore.reporting.pairing import pairs_of
from ltcore.reporting.published import published_in
from ltcore.reporting.reading import Reading, Source
from ltcore.reporting.repetition import repeated_backbones

if TYPE_CHECKING:
    from ltcore.reporting.reference import Reference


def compare(
    sources: Iterable[Source], analysis: Analysis | None = None, *, forks: int = 0
) -> Comparison:
    """Compute every number of a report from results files alone.

    A file given twice counts once. One that cannot be read is remembered with its cause, and the
    others are compared.

    Args:
        sources: paths of results files, or results; in any order, each let go before the next.
        analysis: what is asked for; by default what a plain report shows.
        forks: copies of this process that share the reading; they change no bit.

    Raises:
        SpecError: what is asked for does not suit the files: an ensemble of runs that were tested
            on different images, a prior or reference that there is not.
        PluginError: a plugin's metric failed.
    """
    with Reading(sources, analysis or Analysis(), forks) as reading:
        return comparison_of(reading)


def comparison_of(reading: Reading) -> Comparison:
    """Compute every number of a report from what is read.

    Raises:
        SpecError, PluginError: as in :func:`compare`.
    """
    analysis = reading.analysis
    references = _loaded(analysis.references)
    groups = [
        _compared(of_setting, analysis)
        for of_setting in group(reading.evidence(), analysis.known_metrics)
    ]
    controls, refused = controls_of(groups, analysis)
    members = [item for of_setting in groups for item in of_setting.members]
    ensemble: Ensemble | None = None
    told: list[str] = []
    if analysis.ensemble:
        averaged = [item for item in members if item.run.adjustment or not analysis.adjusts]
        ensemble, told = ensemble_of(averaged, reading.again, analysis)
    in_order = [item.run for item in members if item.run.adjustment is None]
    told += differing_environments(in_order)
    published = published_in(groups, references)
    found = {item.difference.reference for item in published}
    told += [
        f"no published accuracy of {reference.name!r} goes with these runs"
        for reference in references
        if reference.name not in found
    ]
    return Comparison(
        runs=tuple(item.run for item in members),
        settings=tuple(of_setting.setting for of_setting in groups),
        unreadable=reading.unreadable(),
        controls=tuple(controls),
        published=tuple(published),
        ensemble=ensemble,
        metrics=analysis.known_metrics,
        asked_views=analysis.asked_views,
        warnings=(*reading.warnings(), *_without_baseline(members, analysis), *refused, *told),
    )


def _loaded(references: Iterable[str | os.PathLike[str]]) -> list[Reference]:
    if not references:
        return []
    from ltcore.reporting.reference import load_reference  # its models take a report's hundredth

    return [load_reference(reference) for reference in references]


def _without_baseline(members: Iterable[Evidence], analysis: Analysis) -> list[str]:
    """Say that there are no gains where the baseline stands under other names only.

    Raises:
        SpecError: a baseline was asked for that no run has.
    """
    losses = sorted({item.run.loss for item in members})
    if analysis.baseline in losses or not losses:
        return []
    variants = [loss for loss in losses if loss.startswith(f"{analysis.baseline}(")]
    if analysis.baseline != DEFAULT_BASELINE and not variants:
        hint = did_you_mean(analysis.baseline, losses)
        raise SpecError(
            f"baseline: no run has the loss {analysis.baseline!r}.{hint} There are: "
            f"{', '.join(losses)}"
        )
    return [
        f"no gains are shown: there is no {analysis.baseline!r}, but {', '.join(variants)}. "
        f'Name one: --baseline "{variants[0]}"'
        for variants in [variants]
        if variants
    ]


def _compared(of_setting: Group, analysis: Analysis) -> Group:
    """The group, its setting with the tests and differences between its runs."""
    cells, evidence = of_setting.setting.cells, of_setting.evidence
    if analysis.pairs == "needed":
        repeated = repeated_backbones(of_setting.setting)
        evidence = {place: runs for place, runs in evidence.items() if place[0] not in repeated}
    pairs = pairs_of(evidence, analysis)
    setting = replace(
        of_setting.setting,
        pairs=tuple(pairs),
        gains=tuple(gains_of(cells, pairs, analysis)),
        inseparable=inseparable_of(cells, pairs, analysis),
    )
    return replace(of_setting, setting=setting)
