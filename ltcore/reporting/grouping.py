"""Which runs may be compared: those of one training set and one recipe, by their parameters."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ltcore.comparison import Cell, Setting
from ltcore.reporting.averages import by_seed, over_cells, over_seeds
from ltcore.reporting.evidence import Evidence, SettingKey
from ltcore.reporting.labels import Named, parameters_of, tell_apart


@dataclass(frozen=True, eq=False)
class Group:
    """A setting, and the evidence of its runs.

    Attributes:
        setting: its runs and their means.
        evidence: in the order of the setting's runs.
        key: what its runs share.
    """

    setting: Setting
    evidence: Mapping[tuple[str, str], tuple[Evidence, ...]]
    key: SettingKey

    @property
    def members(self) -> list[Evidence]:
        """The evidence of all its runs, in order."""
        return [item for runs in self.evidence.values() for item in runs]


def group(evidence: Sequence[Evidence], metrics: Collection[str]) -> list[Group]:
    """Group runs by training set and recipe, and average their metrics: seeds first."""
    backbones = tell_apart(item.backbone for item in evidence)
    losses = tell_apart(item.loss for item in evidence)
    grouped: dict[SettingKey, dict[tuple[str, str], list[Evidence]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for item in evidence:
        run, adjustment = item.run, item.run.adjustment
        backbone = backbones[item.backbone]
        loss = losses[item.loss] + (f" {adjustment.label}" if adjustment else "")
        named = (run.backbone, run.loss) == (backbone, loss)
        grouped[item.setting][backbone, loss].append(
            item if named else replace(item, run=replace(run, backbone=backbone, loss=loss))
        )
    labels = _labels(grouped)
    in_order = sorted(grouped, key=lambda key: (key.train, labels[key]))
    return [_group(key, labels[key], grouped[key], metrics) for key in in_order]


def _labels(keys: Iterable[SettingKey]) -> dict[SettingKey, str]:
    """``balanced`` or ``long_tailed``, or what it takes to tell several of one kind apart."""
    keys = tuple(keys)
    training_sets = {(key.train, key.training_set) for key in keys}
    of_kind = Counter(train for train, _ in training_sets)
    named: dict[SettingKey, Named] = {}
    for key in keys:
        dataset, parameters = key.dataset
        name = key.train if of_kind[key.train] == 1 else f"{dataset} {key.ratio}"
        tree = {"dataset": dict(parameters)} | dict(key.recipe)
        named[key] = name, parameters_of(tree)
    times = Counter(named.values())
    for key, (name, parameters) in named.items():
        if times[name, parameters] > 1:
            # The same parameters and other images: the files come from different data.
            images = hashlib.sha256(repr(key.training_set).encode()).hexdigest()[:8]
            named[key] = name, (*parameters, ("images", images))
    labels = tell_apart(named.values())
    return {key: labels[of_key] for key, of_key in named.items()}


def _group(
    key: SettingKey,
    label: str,
    grouped: Mapping[tuple[str, str], Sequence[Evidence]],
    metrics: Collection[str],
) -> Group:
    evidence = {
        place: tuple(sorted(grouped[place], key=lambda item: by_seed(item.run)))
        for place in sorted(grouped)
    }
    cells = {
        place: over_seeds(*place, [item.run for item in runs], metrics)
        for place, runs in evidence.items()
    }
    by_backbone: dict[str, list[Cell]] = defaultdict(list)
    by_loss: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells.values():
        if not cell.adjusted:
            by_backbone[cell.backbone].append(cell)
        by_loss[cell.loss].append(cell)
    setting = Setting(
        label=label,
        dataset=key.dataset[0],
        train=key.train,
        class_counts=key.class_counts,
        cells=cells,
        by_backbone={name: over_cells(of, metrics) for name, of in sorted(by_backbone.items())},
        by_loss={name: over_cells(of, metrics) for name, of in sorted(by_loss.items())},
    )
    return Group(setting, evidence, key)
