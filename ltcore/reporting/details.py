"""What a report of single runs shows beside their metrics, computed from the run's results."""

from __future__ import annotations

from typing import Any

import numpy as np

from ltcore.comparison import Details, Reliability
from ltcore.reporting.calibration import reliability
from ltcore.reporting.metrics import confusion, per_class
from ltcore.reporting.scores import ImageScores, score_images
from ltcore.reporting.views import views_of
from ltcore.results import Outcome

_DIAGRAMS = ("balanced", "all", "balanced_head", "balanced_middle", "balanced_tail")
_FACTS = (
    "created",
    "ltcore_version",
    "plugins",
    "environment",
    "seconds",
    "parameters",
    "best_epoch",
    "selection",
    "trained_prior",
    "verified",
    "origin",
)


def details_of(results: Outcome) -> Details:
    """Compute what a report of single runs shows, but for the spec.

    Predictions that were made up to give published accuracies say nothing of a class: recall and
    precision are then NaN, the confusion holds no image, and there is no reliability diagram.

    Args:
        results: a run's results, in memory or read from a file.

    Raises:
        NonFiniteError: a logit is NaN or infinite.
    """
    num_classes = len(results.classes)
    facts = {name: getattr(results, name) for name in _FACTS}
    said: dict[str, Any] = {
        "classes": results.classes,
        "history": dict(results.history),
        "facts": {name: value for name, value in facts.items() if value not in (None, {})},
    }
    if results.origin == "accuracies":
        return Details(
            **said,
            images=np.bincount(results.test.label, minlength=num_classes),
            recall=np.full(num_classes, np.nan),
            precision=np.full(num_classes, np.nan),
            confusion=np.zeros((num_classes, num_classes), dtype=np.int64),
            reliability={},
        )
    scores = score_images(results.test)
    of_class = per_class(scores)
    return Details(
        **said,
        images=of_class.images,
        recall=of_class.recall,
        precision=of_class.precision,
        confusion=confusion(scores),
        reliability=_diagrams(results, scores),
    )


def _diagrams(results: Outcome, scores: ImageScores) -> dict[str, Reliability]:
    """A diagram of each view that has images: of the whole split, and of each group's."""
    diagrams = {}
    for view, indices in views_of(results.test, results.classes).items():
        if view in _DIAGRAMS and len(indices):
            diagrams[view] = reliability(scores.confidence[indices], scores.correct[indices])
    return diagrams
