"""Whether the parts of results fit together, so that no wrong number is written or reported."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ltcore.predictions import Predictions, ascend

if TYPE_CHECKING:
    from ltcore.results import Outcome
    from ltcore.splits import Classes

_VIEW_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=-]{0,199}")
_SELECTIONS = ("val", "last", "test", None)
_PRIORS = ("train", "uniform", None)


def inconsistency(results: Outcome) -> str | None:
    """The first thing that does not fit together, or None."""
    return next(_problems(results), None)


def non_finite(results: Outcome) -> str | None:
    """The name of the first logits that hold a NaN or an infinity, or None."""
    for name, split in _named(results).items():
        if not np.isfinite(split.logits).all():
            return f"/{name}/logits"
    return None


def _named(results: Outcome) -> dict[str, Predictions]:
    splits = {"test": results.test, "val": results.val}
    splits |= {f"last/{name}": split for name, split in results.last.items()}
    return {name: split for name, split in splits.items() if split is not None}


def _problems(results: Outcome) -> Iterator[str]:
    yield from _class_problems(results.classes)
    for name, split in _named(results).items():
        yield from _split_problems(name, split, len(results.classes))
        for view, indices in split.views.items():
            yield from _view_problems(f"/{name}/views/{view}", view, indices, len(split.label))
    yield from _train_problems(results)
    yield from _history_problems(results)
    if results.val_is_test and results.val is not None:
        yield "the attribute 'val_is_test' is true, and there is /val: one of them is wrong"
    if results.selection not in _SELECTIONS:
        yield f"the attribute 'selection' is {results.selection!r}, should be val, last or test"
    if results.trained_prior not in _PRIORS:
        yield f"the attribute 'trained_prior' is {results.trained_prior!r}, not train or uniform"


def _class_problems(classes: Classes) -> Iterator[str]:
    k = len(classes)
    if classes.counts.shape != (k,) or classes.groups.shape != (k,):
        yield f"/classes has {k} names, {len(classes.counts)} counts, {len(classes.groups)} groups"
    if len(set(classes.names)) != k:
        yield "/classes/name holds a name twice"
    if (classes.counts < 0).any():
        yield "/classes/count holds a negative number"
    if (classes.groups > 2).any():
        yield "/classes/group holds another number than 0, 1 and 2"


def _split_problems(name: str, split: Predictions, k: int) -> Iterator[str]:
    n = len(split.label)
    if n == 0:
        yield f"/{name} is empty"
    if split.logits.shape != (n, k) or split.logits.dtype != np.float32:
        yield (
            f"/{name}/logits is {split.logits.dtype} {split.logits.shape}, should be float32 "
            f"({n}, {k})"
        )
    if len(split.prediction) != n or len(split.id) != n:
        yield f"/{name} has {n} labels, {len(split.prediction)} predictions, {len(split.id)} ids"
    if split.label.min() < 0 or split.label.max() >= k:
        yield f"/{name}/label is not in [0, {k})"
    if not np.array_equal(split.prediction, split.logits.argmax(axis=1)):
        yield (
            f"/{name}/prediction is not the argmax of /{name}/logits (in float32, the lowest index "
            "at a tie)"
        )
    if not ascend(split.id) and len(set(split.id.tolist())) != n:
        yield f"/{name}/id holds an image twice"


def _view_problems(path: str, view: str, indices: NDArray[Any], n: int) -> Iterator[str]:
    if not _VIEW_NAME.fullmatch(view):
        yield f"a view cannot be called {view!r}: use letters, digits, _ . + = and -"
    if not len(indices):
        return
    if indices.min() < 0 or indices.max() >= n:
        yield f"{path} reaches outside the {n} images"
    elif np.bincount(indices, minlength=n).max() > 1:
        yield f"{path} holds an image twice"


def _train_problems(results: Outcome) -> Iterator[str]:
    ids, total = results.train_ids, results.classes.counts.sum()
    if ids is None:
        return
    if len(ids) != total:
        yield f"/train/id holds {len(ids)} images, /classes/count {total}"
    trained = set(ids.tolist())
    if len(trained) != len(ids):
        yield "/train/id holds an image twice"
    for name, split in _named(results).items():
        shared = trained.intersection(split.id.tolist())
        if shared:
            yield f"/train and /{name} share {len(shared)} images, {min(shared)!r} first"


def _history_problems(results: Outcome) -> Iterator[str]:
    epochs = {column: len(values) for column, values in results.history.items()}
    if len(set(epochs.values())) > 1:
        yield f"/history has columns of different lengths: {epochs}"
    last = next(iter(epochs.values()), None)
    best = results.best_epoch
    if best is not None and (best < 0 or (last is not None and best >= last)):
        yield f"best_epoch is {best}, the history has {last} epochs"
