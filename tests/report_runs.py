"""Runs to report on, in memory: real logits, on test images that all of them share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from ltcore.components import Metric
from ltcore.predictions import Predictions
from ltcore.results import Results
from ltcore.spec import RunSpec
from ltcore.splits import Classes

K = 6
COUNTS = np.array([200, 101, 100, 20, 19, 5])
LABEL = np.repeat(np.arange(K), 20)
VIEWS = {
    "long_tailed": np.concatenate([np.arange(0, 40), np.arange(40, 120, 4)]),
    "head": np.arange(0, 40),
    "tail": np.arange(80, 120, 4),
}


def run_of(
    loss="focal",
    backbone="resnet",
    *,
    seed=1,
    skill=1.0,
    draw=0,
    counts=COUNTS,
    dataset="digits_lt",
    ids="test/{}",
    label=LABEL,
    views=VIEWS,
    val=True,
    spec=None,
    **more,
):
    """A run whose logits lean to large classes; they follow from what it is, and from the draw."""
    spec = {"dataset": dataset, "backbone": backbone, "loss": loss, "seed": seed, **(spec or {})}
    rng = np.random.default_rng([*repr((loss, backbone, seed, draw)).encode()])
    val_label = np.repeat(np.arange(K), 20)
    known = {
        "name": f"{dataset}-{backbone}-{loss}-s{seed}",
        "classes": Classes(tuple("abcdef"), np.asarray(counts), np.repeat([0, 1, 2], 2)),
        "trained_prior": "train",
    }
    return Results(
        spec=RunSpec.model_validate(spec, strict=False),
        test=predictions(rng, label, ids, skill, counts, views),
        val=predictions(rng, val_label, "val/{}", skill, counts, {}) if val else None,
        **(known | more),
    )


def predictions(rng, label, ids, skill, counts, views):
    logits = 2.0 * rng.normal(size=(len(label), K)) + 0.7 * np.log(np.maximum(counts, 1))
    logits[np.arange(len(label)), label] += 3.0 * skill
    names = np.array([ids.format(index) for index in range(len(label))])
    return Predictions.from_logits(logits.astype(np.float32), label, names, views)


def with_test(results, **changed):
    """The same run with other logits, labels, ids or views of its test split."""
    test = results.test
    parts = {"logits": test.logits, "label": test.label, "ids": test.id, "views": test.views}
    return replace(results, test=Predictions.from_logits(**(parts | changed)))


def guessing(results, prediction):
    """The same run with these predictions."""
    return with_test(results, logits=4.0 * np.eye(K, dtype=np.float32)[prediction])


def shuffled(results, seed=0):
    """The same run with its images in another order, and so those of each view."""
    rng = np.random.default_rng(seed)
    val = None if results.val is None else _shuffled(results.val, rng)
    return replace(results, test=_shuffled(results.test, rng), val=val)


def _shuffled(split, rng):
    order = rng.permutation(len(split.label))
    place = np.argsort(order)
    views = {view: rng.permutation(place[indices]) for view, indices in split.views.items()}
    return Predictions.from_logits(split.logits[order], split.label[order], split.id[order], views)


class Offered(Metric):
    """A metric that gives what a test says, or raises it."""

    name: ClassVar[str] = "offered"
    title: ClassVar[str] = "offered"

    gives: Any = None
    seen: Any = None

    def compute(self, logits, labels, class_counts):
        if self.seen is not None:
            self.seen.append((logits, labels, class_counts))
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives(logits) if callable(self.gives) else self.gives
