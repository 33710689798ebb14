"""The mean of several runs' probabilities, added up one run at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ltcore.comparison import Ensemble
from ltcore.differences import Pair
from ltcore.errors import SpecError
from ltcore.predictions import Predictions
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.evaluation import evaluate
from ltcore.reporting.evidence import Evidence, in_id_order, packed
from ltcore.reporting.pairing import pair_of, replicates_of
from ltcore.results import Outcome

NAME = "ensemble"


def ensemble_of(
    members: Sequence[Evidence], load: Callable[[Evidence], Outcome], analysis: Analysis
) -> tuple[Ensemble, list[str]]:
    """Average the probabilities of runs that were tested on the same images.

    What is kept of them is one (N, K) sum. Views that hold other images in other members, as groups
    by training images do in another training set, are left out.

    Args:
        members: in the order in which they are added.
        load: gives a member's results, adjusted as its row is.
        analysis: what the report is asked for.

    Returns:
        The ensemble, and what a reader must know of it.

    Raises:
        SpecError: fewer than two members, other images or classes, or no logits.
    """
    if len(members) < 2:
        raise SpecError(f"ensemble: it takes two runs or more, there are {len(members)}")
    first = load(members[0])
    first = replace(first, test=in_id_order(first.test))
    total = np.full(first.test.logits.shape, -np.inf)
    on_val: dict[int, float] = {}
    priors: dict[str, str] = {}
    for member in members:
        results = load(member)
        _refuse_others(members[0], member, first, results)
        np.logaddexp(total, _log_probabilities(in_id_order(results.test)), out=total)
        if results.val is not None:
            val = results.val
            on_val[id(member)] = float(np.mean(val.prediction == val.label))
        if member.run.adjustment is None or member.run.adjustment.tau is None:
            priors.setdefault(results.trained_prior or "unknown", member.run.file)
    mean = (total - np.log(len(members))).astype(np.float32)
    test = replace(first.test, logits=mean, prediction=mean.argmax(axis=1).astype(np.int32))
    evaluation = evaluate(replace(first, test=test, name=NAME), analysis)
    best = _best_on_val(members, on_val)
    images = members[0].images
    metrics = {
        view: of_view
        for view, of_view in evaluation.metrics.items()
        if view not in images.views or all(images.agree(item.images, view) for item in members)
    }
    run = replace(members[0].run, name=NAME, loss=NAME, path=None, metrics=metrics)
    mixture = replace(
        members[0],
        run=run,
        packed=packed(evaluation.correct),
        replicates=evaluation.replicates,
    )
    warnings = []
    if len(priors) > 1:
        (one, a_file), (other, other_file) = sorted(priors.items())[:2]
        warnings.append(
            f"the ensemble mixes logits for different class priors: {a_file} is trained for the "
            f"{one} prior, {other_file} for the {other} one. Adjust them first, or average alike."
        )
    if best is None:
        warnings.append("the ensemble is compared with no member: not all have validation logits")
    ensemble = Ensemble(
        members=tuple(member.run for member in members),
        metrics=metrics,
        best=None if best is None else best.run,
        gains=() if best is None else tuple(_gains(mixture, best, analysis)),
    )
    return ensemble, warnings


def _gains(mixture: Evidence, best: Evidence, analysis: Analysis) -> Iterator[Pair]:
    for view, indices in mixture.images.views.items():
        if view in mixture.run.metrics and len(indices):
            both = (mixture, best)
            known = replicates_of(both, view, "top1") if analysis.intervals else {}
            yield pair_of(*both, "best", view, "top1", known)


def _refuse_others(one: Evidence, other: Evidence, first: Outcome, results: Outcome) -> None:
    if results.origin == "accuracies":
        raise SpecError(f"{other.run.file}: published accuracies have no probabilities to average")
    if one.images.pairing != other.images.pairing or first.classes.names != results.classes.names:
        raise SpecError(
            f"{one.run.file} and {other.run.file} make no ensemble: their test images, labels or "
            "classes differ"
        )


def _best_on_val(members: Sequence[Evidence], on_val: dict[int, float]) -> Evidence | None:
    """The member with the highest validation top-1, of equal ones the first."""
    if len(on_val) < len(members):
        return None
    return max(members, key=lambda member: on_val[id(member)])


def _log_probabilities(test: Predictions) -> NDArray[np.float64]:
    """Of no class -inf, however sure a member is of another."""
    logits = test.logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits
