"""From results files to the comparison, grouped by what may be compared.

That is one training set and one recipe. Nothing here computes a metric or knows how a report
looks, and no more than one run's logits are in memory.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ltcore.comparison import Balance, Cell, Comparison, Run, Setting
from ltcore.components import Backbone
from ltcore.errors import NonFiniteError, ResultsFileError
from ltcore.reporting.averages import over_cells, over_seeds
from ltcore.reporting.labels import Named, Parameters, outcome_of, parameters_of, tell_apart
from ltcore.reporting.metrics import evaluate
from ltcore.results import Results, read_results
from ltcore.spec import ComponentRef

Source = str | os.PathLike[str] | Results

# What every backbone takes belongs to the recipe; what is its own, to its label.
_OF_EVERY_BACKBONE = frozenset(Backbone.model_fields)
# Where a data set lies and how it is read; its images are known by their ids.
_OF_NO_OUTCOME = frozenset({"root", "workers"})


@dataclass(frozen=True, slots=True)
class _SettingKey:
    """One training set (all but the last) and one recipe."""

    dataset: Named
    class_counts: tuple[int, ...]
    images: str
    recipe: Parameters

    @property
    def train(self) -> Balance:
        return "balanced" if len(set(self.class_counts)) == 1 else "long_tailed"

    @property
    def training_set(self) -> tuple[Named, tuple[int, ...], str]:
        return self.dataset, self.class_counts, self.images

    @property
    def ratio(self) -> str:
        fewest = min(self.class_counts)
        return f"{max(self.class_counts) / fewest:g}" if fewest else "inf"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A run whose components are not yet told apart from others of their names."""

    setting: _SettingKey
    backbone: Named
    loss: Named
    run: Run


def compare(sources: Iterable[Source]) -> Comparison:
    """Compute every number of a report from results files alone.

    A file given twice counts once. One that cannot be read is remembered with its cause, and the
    others are compared.

    Args:
        sources: paths of results files, or results; in any order, each let go before the next.
    """
    shown: dict[object, str] = {}
    entries: dict[object, _Entry] = {}
    errors: dict[object, ResultsFileError] = {}
    settings: dict[_SettingKey, _SettingKey] = {}
    for source in sources:
        identity, name = _identity(source)
        # Of two spellings of one path the smaller is shown, whichever came first.
        if identity in shown and shown[identity] <= name:
            continue
        shown[identity] = name
        try:
            entry = _entry(source)
        except ResultsFileError as error:
            errors[identity] = error
        else:
            setting = settings.setdefault(entry.setting, entry.setting)
            entries[identity] = replace(entry, setting=setting)
    unreadable = {shown[identity]: error for identity, error in errors.items()}
    settings_compared = _settings(list(entries.values()))
    runs = (run for s in settings_compared for cell in s.cells.values() for run in cell.runs)
    return Comparison(tuple(runs), settings_compared, dict(sorted(unreadable.items())))


def _identity(source: Source) -> tuple[object, str]:
    """What makes a source the same as another, and what it is called."""
    if not isinstance(source, Results):
        path = Path(source)
    elif source.path is not None:
        path = source.path
    else:
        return object(), source.name
    return path.absolute(), str(path)


def _entry(source: Source) -> _Entry:
    results = source if isinstance(source, Results) else read_results(source, test_only=True)
    spec = results.spec
    try:
        metrics = evaluate(results)
    except NonFiniteError as error:
        raise ResultsFileError(f"{results.path or results.name}: {error}") from None
    backbone = spec.backbone.parameters
    of_every = {key: value for key, value in backbone.items() if key in _OF_EVERY_BACKBONE}
    recipe = {
        "transform": outcome_of(spec.transform),
        "backbone": of_every,
        "training": outcome_of(spec.training),
    }
    seeds = spec.resolved_seeds()
    setting = _SettingKey(
        dataset=_named(spec.dataset, without=_OF_NO_OUTCOME, split_seed=seeds.split),
        class_counts=tuple(results.classes.counts.tolist()),
        images=_test_images(results),
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
        metrics=metrics,
    )
    own = _named(spec.backbone, without=_OF_EVERY_BACKBONE)
    return _Entry(setting, own, _named(spec.loss), run)


def _named(component: ComponentRef, *, without: frozenset[str] = frozenset(), **more: int) -> Named:
    kept = {key: value for key, value in component.parameters.items() if key not in without}
    return component.name, parameters_of({**kept, **more})


def _test_images(results: Results) -> str:
    """A digest of the classes and the test images with their labels and views, in any order."""
    test, classes = results.test, results.classes
    order = np.argsort(test.id)
    digest = hashlib.sha256("\0".join((*classes.names, *test.id[order].tolist())).encode())
    digest.update(classes.groups.tobytes())
    digest.update(test.label[order].tobytes())
    for view, indices in sorted(test.views.items()):
        members = np.zeros(len(order), dtype=np.bool_)
        members[indices] = True
        digest.update(view.encode(errors="surrogateescape") + members[order].tobytes())
    return digest.hexdigest()


def _settings(entries: Sequence[_Entry]) -> tuple[Setting, ...]:
    backbones = tell_apart(entry.backbone for entry in entries)
    losses = tell_apart(entry.loss for entry in entries)
    grouped: dict[_SettingKey, dict[tuple[str, str], list[Run]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for entry in entries:
        backbone, loss = backbones[entry.backbone], losses[entry.loss]
        run = replace(entry.run, backbone=backbone, loss=loss)
        grouped[entry.setting][backbone, loss].append(run)
    labels = _setting_labels(grouped)
    in_order = sorted(grouped, key=lambda key: (key.train, labels[key]))
    return tuple(_setting(key, labels[key], grouped[key]) for key in in_order)


def _setting_labels(keys: Iterable[_SettingKey]) -> dict[_SettingKey, str]:
    """``balanced`` or ``long_tailed``, or what it takes to tell several of one kind apart."""
    keys = tuple(keys)
    training_sets = {(key.train, key.training_set) for key in keys}
    of_kind = Counter(train for train, _ in training_sets)
    named: dict[_SettingKey, Named] = {}
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


def _setting(
    key: _SettingKey, label: str, grouped: Mapping[tuple[str, str], Sequence[Run]]
) -> Setting:
    cells = {at: over_seeds(*at, grouped[at]) for at in sorted(grouped)}
    by_backbone: dict[str, list[Cell]] = defaultdict(list)
    by_loss: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells.values():
        by_backbone[cell.backbone].append(cell)
        by_loss[cell.loss].append(cell)
    return Setting(
        label=label,
        dataset=key.dataset[0],
        train=key.train,
        class_counts=key.class_counts,
        cells=cells,
        by_backbone={name: over_cells(of) for name, of in sorted(by_backbone.items())},
        by_loss={name: over_cells(of) for name, of in sorted(by_loss.items())},
    )
