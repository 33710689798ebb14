"""What a run leaves behind, typed. How files hold it is :mod:`ltcore.results_files`'s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ltcore.predictions import Predictions
from ltcore.splits import Classes

if TYPE_CHECKING:
    from ltcore.spec import RunSpec


@dataclass(frozen=True)
class Outcome:
    """What a run came to: all that a results file holds but the spec.

    Attributes:
        name: the run's name.
        classes: names, training counts and groups of the K classes.
        test: what the chosen epoch's weights say of the test split, with its views.
        val: the same of the validation split; None where val is test.
        last: ``test`` and ``val`` of the last epoch, where ``training.keep_last`` asked for it.
        train_ids: (n,) str, the images trained on.
        history: column -> (epochs,) epoch, lr, train_loss, train_top1, val_loss, val_top1, seconds.
        best_epoch: the epoch, from 0, whose weights made the logits.
        selection: what chose that epoch: ``val``, ``last``, or ``test`` where val is test.
        val_is_test: whether validation and test are the same images.
        trained_prior: the class prior that the logits are right for: ``train`` or ``uniform``.
        parameters: of the model.
        seconds: wall time of the run.
        ltcore_version, plugins, environment: what ran it; plugins map distribution to version.
        created: UTC, ISO 8601.
        origin: ``accuracies`` where the predictions were made up to give published accuracies, so
            that nothing but top-1 means anything.
        path: where the file lies.
        verified: whether the file carried a checksum that held.
    """

    name: str
    classes: Classes
    test: Predictions
    val: Predictions | None = None
    last: Mapping[str, Predictions] = field(default_factory=dict)
    train_ids: NDArray[np.str_] | None = None
    history: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    best_epoch: int | None = None
    selection: Literal["val", "last", "test"] | None = None
    val_is_test: bool = False
    trained_prior: Literal["train", "uniform"] | None = None
    parameters: int | None = None
    seconds: float | None = None
    ltcore_version: str | None = None
    plugins: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    created: str | None = None
    origin: str | None = None
    path: Path | None = None
    verified: bool = False


@dataclass(frozen=True)
class Results(Outcome):
    """One finished run, as :func:`ltcore.run` returns it and a results file holds it.

    Attributes:
        spec: the resolved spec, the one that ran. All others are :class:`Outcome`'s.
    """

    spec: RunSpec = field(kw_only=True)
