"""What one source says of a run, its spec still as JSON: what forks of a report hand over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ltcore.comparison import Adjustment, Details, Environment
from ltcore.measures import Metrics
from ltcore.reporting.environments import environment_of
from ltcore.reporting.evaluation import Evaluation, Replicates
from ltcore.reporting.evidence import Images, packed
from ltcore.results import Outcome
from ltcore.splits import Classes


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """A run's numbers, and what else its results say.

    Attributes:
        spec: the JSON of a spec that may not be valid.
        name, verified: as in :class:`ltcore.comparison.Run`, as are the next two.
        chosen_on_test, published: see there.
        reweighted: whether its logits make up for the class prior already.
        classes: names, training counts and groups.
        environment: what it was computed with.
        metrics, images, replicates: of its evaluation.
        packed: whether each image is right, eight to a byte.
        adjustment: what was done to its logits.
        details: where they were asked for; without the spec.
    """

    spec: str
    name: str
    verified: bool
    chosen_on_test: bool
    published: bool
    reweighted: bool
    classes: Classes
    environment: Environment
    metrics: Mapping[str, Metrics]
    images: Images
    replicates: Replicates
    packed: bytes
    adjustment: Adjustment | None
    details: Details | None


def scored(
    outcome: Outcome,
    spec: str,
    evaluation: Evaluation,
    adjustment: Adjustment | None = None,
    details: Details | None = None,
) -> Scored:
    """Take what a comparison needs of what a run came to, and leave its predictions.

    Args:
        outcome: of the run, its logits adjusted or not.
        spec: the run's, as JSON.
        evaluation: of the same logits.
        adjustment: what was done to them.
        details: of them.
    """
    return Scored(
        spec=spec,
        name=outcome.name,
        verified=outcome.verified,
        chosen_on_test=outcome.selection == "test"
        or (outcome.val_is_test and outcome.selection == "val"),
        published=outcome.origin == "accuracies",
        reweighted=outcome.trained_prior == "uniform",
        classes=outcome.classes,
        environment=environment_of(outcome.environment),
        metrics=evaluation.metrics,
        images=evaluation.images,
        replicates=evaluation.replicates,
        packed=packed(evaluation.correct),
        adjustment=adjustment,
        details=details,
    )
