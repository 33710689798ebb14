"""The functions of ltcore's Python interface that run or build; the command line calls the same."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ltcore.components import Backbone, Dataset, Head, Loss, Seeds
from ltcore.documents import read_document
from ltcore.plugins import load_plugins
from ltcore.resolution import parse_spec, resolve, resolve_component
from ltcore.results import Results
from ltcore.running.start import Options, finished_results, tidy, train_and_test
from ltcore.spec import RunSpec
from ltcore.splits import Classes, Splits

if TYPE_CHECKING:
    from torch import nn


Component = str | Mapping[str, Any]
"""A component as a spec names it: ``"focal"`` or ``{"name": "focal", "gamma": 1}``."""


def load_spec(path: str | os.PathLike[str]) -> RunSpec:
    """Read a spec and check the core's fields; :func:`run` checks the components' parameters.

    Raises:
        SpecError: with every mistake that was found.
    """
    return parse_spec(read_document(path), os.fspath(path))


def run(
    spec: RunSpec | Mapping[str, Any],
    out: str | os.PathLike[str] = "results",
    plugins: Sequence[Any] = (),
    *,
    fresh: bool = False,
    force: bool = False,
) -> Results:
    """Train and test what a spec describes, and publish its results file.

    A run that is finished already is not repeated: its results are read and returned. One that was
    interrupted goes on from its checkpoint. Nothing is printed, no signal handler is installed, and
    the global random state of torch is put back.

    Args:
        spec: a spec or its JSON as a dict.
        out: the folder of the results file, made where it is missing.
        plugins: modules or objects with ltcore's hooks, besides the installed ones.
        fresh: begin anew where the run was interrupted.
        force: run although there are results, which are kept aside as ``<name>.h5.1``.

    Returns:
        What is in the results file; ``path`` says where it is.

    Raises:
        LtcoreError: see :mod:`ltcore.errors` for the kinds.
    """
    catalogue = load_plugins(*plugins)
    resolved = resolve(spec, catalogue)
    finished = None if force else finished_results(resolved, Path(out), catalogue)
    if finished is not None:
        tidy(resolved, Path(out))
        return finished
    options = Options(fresh=fresh, force=force)
    return train_and_test(resolved, Path(out), catalogue, options)


def load_dataset(component: Component, seed: int = 42, plugins: Sequence[Any] = ()) -> Splits:
    """Build a data set as a run would.

    Args:
        component: its name, or an object with its name and parameters.
        seed: drives which images train; the held-out ones are those of split seed 42.
        plugins: as in :func:`run`.

    Raises:
        SpecError: a parameter is wrong.
        DataError: data that is missing, damaged or too little.
    """
    dataset = cast("Dataset", resolve_component(component, "dataset", load_plugins(*plugins)))
    return dataset.build(Seeds(data=seed, init=seed, order=seed))


def build_backbone(
    component: Component, num_classes: int, head: Head = "linear", plugins: Sequence[Any] = ()
) -> nn.Module:
    """Make a model: images (N, 3, H, W) -> logits (N, K).

    Args:
        component: its name, or an object with its name and parameters.
        num_classes: K.
        head: what ``"head": "auto"`` becomes.
        plugins: as in :func:`run`.
    """
    backbone = cast("Backbone", resolve_component(component, "backbone", load_plugins(*plugins)))
    return backbone.build(num_classes, head if backbone.head == "auto" else backbone.head)


def build_loss(
    component: Component, class_counts: Sequence[int], plugins: Sequence[Any] = ()
) -> nn.Module:
    """Make a criterion: (logits (N, K), labels (N,)) -> scalar.

    Args:
        component: its name, or an object with its name and parameters; ``drw`` is applied.
        class_counts: (K,) training images of each class.
        plugins: as in :func:`run`.
    """
    from ltcore.protocol import class_groups, ranks
    from ltcore.running.building import build_criterion

    loss = cast("Loss", resolve_component(component, "loss", load_plugins(*plugins)))
    counts = np.asarray(class_counts, dtype=np.int64)
    names = tuple(str(index) for index in range(len(counts)))
    return build_criterion(loss, Classes(names, counts, class_groups(ranks(counts))))
