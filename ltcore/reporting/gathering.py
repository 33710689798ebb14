"""What is kept of a run until all are known: its numbers, and by its spec what it goes with.

The models of a spec take long to import, so that nothing of a report imports this with itself.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from ltcore.comparison import Run
from ltcore.components import Backbone
from ltcore.reporting.evaluation import Replicates
from ltcore.reporting.evidence import Evidence, SettingKey
from ltcore.reporting.labels import Named, outcome_of, parameters_of
from ltcore.reporting.scored import Scored
from ltcore.reporting.sharing import Shared
from ltcore.results_files import parsed_spec
from ltcore.spec import ComponentRef

# What every backbone takes belongs to the recipe; what is its own, to its label.
_OF_EVERY_BACKBONE = frozenset(Backbone.model_fields)
# Where a data set lies and how it is read; its images are known by their ids.
_OF_NO_OUTCOME = frozenset({"root", "workers"})
_NO_REPLICATES: Replicates = {}  # one for all


def evidence_of(scored: Scored, shared: Shared, path: str | None) -> Evidence:
    """Take from a run all that a comparison needs; its components go by their bare names.

    Args:
        scored: the run.
        shared: what runs before have too.
        path: of its file; None for results in memory.

    Raises:
        ResultsFileError: its spec is not valid.
    """
    spec = parsed_spec(scored.spec, path or scored.name)
    backbone = spec.backbone.parameters
    recipe = {
        "transform": outcome_of(spec.transform),
        "backbone": {key: value for key, value in backbone.items() if key in _OF_EVERY_BACKBONE},
        "training": outcome_of(spec.training),
    }
    seeds = spec.resolved_seeds()
    setting = SettingKey(
        dataset=_named(spec.dataset, without=_OF_NO_OUTCOME, split_seed=seeds.split),
        classes=scored.classes.names,
        class_counts=tuple(scored.classes.counts.tolist()),
        images=_test_images(scored),
        recipe=parameters_of(recipe),
    )
    details = scored.details
    if details is not None:
        details = replace(details, spec=json.loads(spec.to_json()))
    setting = shared.once(setting)
    own = shared.once(_named(spec.backbone, without=_OF_EVERY_BACKBONE))
    loss = shared.once(_named(spec.loss))
    run = Run(
        name=scored.name,
        dataset=setting.dataset[0],
        backbone=own[0],
        loss=loss[0],
        seed=spec.seed,
        seeds=shared.once(seeds),
        train=setting.train,
        path=path,
        verified=scored.verified,
        chosen_on_test=scored.chosen_on_test,
        published=scored.published,
        metrics=shared.by_view(scored.metrics),
        adjustment=shared.once(scored.adjustment),
        details=details,
        environment=shared.once(scored.environment),
    )
    return Evidence(
        run=run,
        setting=setting,
        backbone=own,
        loss=loss,
        images=shared.once(scored.images),
        packed=scored.packed,
        replicates=scored.replicates or _NO_REPLICATES,
    )


def _named(component: ComponentRef, *, without: frozenset[str] = frozenset(), **more: int) -> Named:
    kept = {key: value for key, value in component.parameters.items() if key not in without}
    return component.name, parameters_of({**kept, **more})


def _test_images(scored: Scored) -> str:
    """A digest of the classes' groups and the test images with their labels and views."""
    groups = scored.classes.groups.tobytes()
    return hashlib.sha256(scored.images.digest.encode() + groups).hexdigest()
