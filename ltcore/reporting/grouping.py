"""Which runs may be compared: those of one training set and one recipe, by their parameters."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ltcore.comparison import Adjustment, Balance, Cell, Details, Run, Setting
from ltcore.components import Backbone
from ltcore.reporting.averages import by_seed, over_cells, over_seeds
from ltcore.reporting.environments import environment_of
from ltcore.reporting.evaluation import Evaluation, Replicates
from ltcore.reporting.evidence import Evidence, Images
from ltcore.reporting.labels import Named, Parameters, outcome_of, parameters_of, tell_apart
from ltcore.results import Results
from ltcore.spec import ComponentRef

# What every backbone takes belongs to the recipe; what is its own, to its label.
_OF_EVERY_BACKBONE = frozenset(Backbone.model_fields)
# Where a data set lies and how it is read; its images are known by their ids.
_OF_NO_OUTCOME = frozenset({"root", "workers"})


@dataclass(frozen=True, slots=True)
class SettingKey:
    """One training set (all but the last) and one recipe."""

    dataset: Named
    classes: tuple[str, ...]
    class_counts: tuple[int, ...]
    images: str
    recipe: Parameters

    @property
    def train(self) -> Balance:
        return "balanced" if len(set(self.class_counts)) == 1 else "long_tailed"

    @property
    def training_set(self) -> tuple[object, ...]:
        return self.dataset, self.classes, self.class_counts, self.images

    @property
    def ratio(self) -> str:
        fewest = min(self.class_counts)
        return f"{max(self.class_counts) / fewest:g}" if fewest else "inf"


@dataclass(frozen=True, slots=True)
class Entry:
    """A run whose components are not yet told apart from others of their names.

    Attributes:
        setting: what it may be compared in.
        backbone, loss: with their parameters.
        run: under the components' bare names.
        images: that it was tested on.
        packed: whether each is right, eight to a byte.
        replicates: of its metrics.
    """

    setting: SettingKey
    backbone: Named
    loss: Named
    run: Run
    images: Images
    packed: NDArray[np.uint8]
    replicates: Replicates


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


def entry_of(
    results: Results,
    evaluation: Evaluation,
    adjustment: Adjustment | None = None,
    details: Details | None = None,
) -> Entry:
    """Take from results and what was computed of them all that a comparison needs."""
    spec = results.spec
    backbone = spec.backbone.parameters
    recipe = {
        "transform": outcome_of(spec.transform),
        "backbone": {key: value for key, value in backbone.items() if key in _OF_EVERY_BACKBONE},
        "training": outcome_of(spec.training),
    }
    seeds = spec.resolved_seeds()
    setting = SettingKey(
        dataset=_named(spec.dataset, without=_OF_NO_OUTCOME, split_seed=seeds.split),
        classes=results.classes.names,
        class_counts=tuple(results.classes.counts.tolist()),
        images=_test_images(results, evaluation.images),
        recipe=parameters_of(recipe),
    )
    run = Run(
        name=results.name,
        dataset=spec.dataset.name,
        backbone=spec.backbone.name,
        loss=spec.loss.name,
        seed=spec.seed,
        seeds=seeds,
        train=setting.train,
        path=None if results.path is None else str(results.path),
        verified=results.verified,
        chosen_on_test=results.selection == "test"
        or (results.val_is_test and results.selection == "val"),
        published=results.origin == "accuracies",
        metrics=evaluation.metrics,
        adjustment=adjustment,
        details=details,
        environment=environment_of(results.environment),
    )
    own = _named(spec.backbone, without=_OF_EVERY_BACKBONE)
    packed = np.packbits(evaluation.correct)
    loss = _named(spec.loss)
    return Entry(setting, own, loss, run, evaluation.images, packed, evaluation.replicates)


def group(entries: Sequence[Entry], metrics: Collection[str]) -> list[Group]:
    """Group runs by training set and recipe, and average their metrics: seeds first."""
    backbones = tell_apart(entry.backbone for entry in entries)
    losses = tell_apart(entry.loss for entry in entries)
    grouped: dict[SettingKey, dict[tuple[str, str], list[Evidence]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for entry in entries:
        adjustment = entry.run.adjustment
        backbone = backbones[entry.backbone]
        loss = losses[entry.loss] + (f" {adjustment.label}" if adjustment else "")
        run = replace(entry.run, backbone=backbone, loss=loss)
        grouped[entry.setting][backbone, loss].append(
            Evidence(run, entry.backbone, entry.loss, entry.images, entry.packed, entry.replicates)
        )
    labels = _labels(grouped)
    in_order = sorted(grouped, key=lambda key: (key.train, labels[key]))
    return [_group(key, labels[key], grouped[key], metrics) for key in in_order]


def _named(component: ComponentRef, *, without: frozenset[str] = frozenset(), **more: int) -> Named:
    kept = {key: value for key, value in component.parameters.items() if key not in without}
    return component.name, parameters_of({**kept, **more})


def _test_images(results: Results, images: Images) -> str:
    """A digest of the classes' groups and the test images with their labels and views."""
    groups = results.classes.groups.tobytes()
    return hashlib.sha256(images.digest.encode() + groups).hexdigest()


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
