"""The accuracy expected under other class frequencies than the test split's own.

``sum_k prior_k recall_k``, each recall being over all test images of its class: what a small
long-tailed view estimates from a few images, from all there are (the study's tail: 1,700, not 38).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltcore.documents import read_document
from ltcore.errors import SpecError
from ltcore.measures import Metrics
from ltcore.mistakes import cut
from ltcore.reporting.intervals import effective_sample_size, wilson_interval
from ltcore.reporting.views import Views
from ltcore.splits import Classes

EXPECTED = "expected_"
"""What the names of views begin with that hold an expected accuracy."""


def expected_accuracy(
    prior: NDArray[np.float64], label: NDArray[np.int32], correct: NDArray[np.bool_]
) -> Metrics:
    """The top-1 expected where class k has the share ``prior_k`` of the images.

    Its interval is Wilson's at Kish's effective sample size: an image of class k weighs
    ``prior_k / n_k``.

    Args:
        prior: (K,) at least 0, one in sum.
        label: (N,) of the whole test split.
        correct: (N,) likewise.

    Returns:
        ``n`` counts the images of classes with a prior above 0; no top-1 where one of these
        classes has no test image.
    """
    images = np.bincount(label, minlength=len(prior))
    hits = np.bincount(label[correct], minlength=len(prior))
    used = prior > 0
    n = int(images[used].sum())
    if not n or not images[used].all():
        return Metrics(n=n)
    top1 = float(np.sum(prior[used] * hits[used] / images[used]))
    size = effective_sample_size(prior[label] / images[label])
    low, high = wilson_interval(top1 * size, size)
    return Metrics(n=n, top1=top1, top1_low=low, top1_high=high)


def expected_view(prior: str) -> str:
    """What the view of a prior is called: ``expected_tail``; of a file, by its name."""
    return EXPECTED + Path(prior).stem


def prior_of(
    prior: str, classes: Classes, views: Views, label: NDArray[np.int32]
) -> NDArray[np.float64]:
    """The (K,) class frequencies that a prior stands for.

    Args:
        prior: a view, whose labels give the frequencies; ``train``, ``uniform``, or the path of a
            JSON object of weights by class name; classes that it leaves out have none.
        classes: of the run.
        views: of its test split.
        label: (N,) of the whole split.

    Raises:
        SpecError: no such view or file, or not such an object.
    """
    if prior == "train":
        weights = classes.counts.astype(np.float64)
    elif prior == "uniform":
        weights = np.ones(len(classes))
    elif prior in views:
        weights = np.bincount(label[views[prior]], minlength=len(classes)).astype(np.float64)
    else:
        weights = _from_file(prior, classes, views)
    total = weights.sum()
    return weights / total if total else weights


def _from_file(path: str, classes: Classes, views: Views) -> NDArray[np.float64]:
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises where a name is too long
        names = ", ".join(("train", "uniform", *views))
        raise SpecError(f"prior: {cut(path)!r} is no file and none of {names}")
    given = read_document(path)
    try:
        weights = {name: float(weight) for name, weight in given.items()}
    except (TypeError, ValueError) as error:
        raise SpecError(f"{path}: not a JSON object of weights by class name: {error}") from None
    unknown = sorted(set(weights).difference(classes.names))
    if unknown:
        raise SpecError(f"{path}: no class is called {cut(unknown[0])!r}")
    values: NDArray[np.float64] = np.array([weights.get(name, 0.0) for name in classes.names])
    if (values < 0).any() or not values.any():
        raise SpecError(f"{path}: the weights must be 0 or more, and one of them more than 0")
    values /= values.max()  # weights near the largest float would add up to infinity
    return values
