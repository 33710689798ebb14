"""Finished runs as a study leaves them: other backbones, losses and seeds, one test split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

import ltcore
from ltcore.predictions import Predictions
from ltcore.protocol import class_groups, evaluation_views, profile_counts, ranks
from ltcore.results import Results

K = 100
LOSSES = (
    "cross_entropy",
    "weighted_cross_entropy",
    "focal",
    "class_balanced",
    "balanced_softmax",
    "equalization",
    "ldam",
)
BACKBONES = ("resnet50", "mobilenet_v2", "convnext_base", "vit_b_16")


def study(files: int, per_class: int) -> Iterator[Results]:
    """Runs of 4 backbones, 7 losses and as many seeds as it takes, of 100 classes.

    Args:
        files: how many runs.
        per_class: test images of each class.
    """
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(K), per_class)
    ids = np.array([f"train/class_{c:02d}/{n:05d}.png" for n, c in enumerate(labels)])
    counts = profile_counts(K, 450, 0.01)
    rank = ranks(counts)
    views = evaluation_views(labels, ids, train_counts=counts, rank=rank, factor=0.01, seed=42)
    classes = ltcore.Classes(tuple(f"class {k}" for k in range(K)), counts, class_groups(rank))
    for number in range(files):
        logits = random.normal(size=(len(labels), K)).astype(np.float32)
        logits[np.arange(len(labels)), labels] += 2
        seed, place = divmod(number, len(LOSSES) * len(BACKBONES))
        loss, backbone = divmod(place, len(BACKBONES))
        fields = {"dataset": "cifar100_lt", "backbone": BACKBONES[backbone], "loss": LOSSES[loss]}
        spec = ltcore.RunSpec.model_validate(fields | {"seed": seed})
        test = Predictions.from_logits(logits, labels, ids, views)
        yield Results(spec=spec, name=f"run-{number}", classes=classes, test=test)


def write_study(folder: Path, files: int, per_class: int) -> list[str]:
    """Write them; their paths."""
    runs = study(files, per_class)
    return [str(ltcore.write_results(run, folder / f"{run.name}.h5")) for run in runs]
