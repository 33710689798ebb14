"""Comparisons for reporters to render: a plain one, one with gaps, one with hostile names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltcore.comparison import Comparison
from ltcore.predictions import Predictions
from ltcore.protocol import class_groups, evaluation_views, ranks
from ltcore.reporting.study import compare
from ltcore.results import Results
from ltcore.spec import RunSpec
from ltcore.splits import Classes

BACKBONES = ("resnet", "convnext")
LOSSES = ("softmax", "focal", "margin")
FORGED = "forged"
HOSTILE = f"=1+1\x00\x07\x1b[31m\x9b\u202e\r\n{FORGED}<script>\\input{{x}}"
"""A spreadsheet formula, control characters, a line that a name began, HTML and LaTeX."""

_COUNTS = np.array([200, 60, 30, 12, 5, 2], dtype=np.int64)
_LABELS = np.repeat(np.arange(len(_COUNTS)), 8)
_IDS = np.array([f"test/{index}" for index in range(len(_LABELS))])


def plain_comparison() -> Comparison:
    """Two backbones and three losses, two seeds of each, with every view."""
    views = evaluation_views(
        _LABELS, _IDS, train_counts=_COUNTS, rank=ranks(_COUNTS), factor=0.1, seed=0
    )
    return compare(
        _results(backbone, loss, seed, views)
        for backbone in BACKBONES
        for loss in LOSSES
        for seed in (0, 1)
    )


def comparison_with_gaps() -> Comparison:
    """Runs of other views, one of them empty; one known by accuracies alone; an unreadable file."""
    whole = np.arange(len(_LABELS))
    return compare(
        [
            _results("resnet", "softmax", 0, {"balanced": whole}),
            _results("resnet", "focal", 0, {"balanced": whole, "tail": whole[:0]}),
            _results("convnext", "focal", 0, {"all": whole[:9], "few": whole}),
            _results("convnext", "margin", 0, {"balanced": whole}, origin="accuracies"),
            "no-such-file.h5",
        ]
    )


def hostile_comparison() -> Comparison:
    """Names, paths and views that would steer a terminal or inject into a document."""
    views = {"balanced": np.arange(len(_LABELS)), HOSTILE: np.arange(3)}
    runs = [
        _results(HOSTILE, loss, 0, views, dataset=HOSTILE, name=HOSTILE, path=Path(HOSTILE + loss))
        for loss in (HOSTILE, "focal")
    ]
    return compare([*runs, HOSTILE.replace("\x00", "")])


def _results(
    backbone: str,
    loss: str,
    seed: int,
    views: Mapping[str, NDArray[np.int64]],
    *,
    dataset: str = "pictures",
    name: str | None = None,
    **more: Any,
) -> Results:
    random = np.random.default_rng([len(backbone), len(loss), seed])
    logits = random.normal(size=(len(_LABELS), len(_COUNTS))).astype(np.float32)
    logits[np.arange(len(_LABELS)), _LABELS] += 1
    spec = {"dataset": dataset, "backbone": backbone, "loss": loss, "seed": seed}
    names = tuple(f"class {index}" for index in range(len(_COUNTS)))
    return Results(
        spec=RunSpec.model_validate(spec, strict=False),
        name=name or f"{backbone}-{loss}-{seed}",
        classes=Classes(names, _COUNTS, class_groups(ranks(_COUNTS))),
        test=Predictions.from_logits(logits, _LABELS, _IDS, views),
        **more,
    )
