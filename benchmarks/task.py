"""What all training loops of the benchmarks train: one model, one batch size, one set of images."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import ltcore
from ltcore.outcome import ResolvedSpec
from ltcore.ranks import Rank
from ltcore.resolution import resolve
from ltcore.running.augmentation import Augmentation
from ltcore.running.batches import Batches
from ltcore.running.building import build_model

PIXELS = 32  # a side, of the images as they are stored


@dataclass(frozen=True)
class Task:
    """What all loops train.

    Attributes:
        backbone: its name in ltcore, trained from scratch.
        size: pixels a side that the model sees.
        batch_size, steps: of an epoch.
        device: where.
        precision: ``fp32`` or ``bf16``.
        classes: K.
    """

    backbone: str
    size: int
    batch_size: int
    steps: int
    device: torch.device
    precision: str = "fp32"
    classes: int = 100

    def images(self) -> NDArray[np.uint8]:
        """(n, 32, 32, 3) noise."""
        shape = (self.batch_size * self.steps, PIXELS, PIXELS, 3)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    def labels(self) -> NDArray[np.int64]:
        """(n,) drawn evenly."""
        return np.random.default_rng(1).integers(0, self.classes, self.batch_size * self.steps)

    def resolved(self) -> ResolvedSpec:
        """The spec that ltcore runs."""
        weights = {} if self.backbone == "resnet32" else {"weights": None}
        training = {"precision": self.precision, "batch_size": self.batch_size}
        spec = {
            "dataset": {"name": "synthetic", "classes": self.classes},
            "backbone": {"name": self.backbone, **weights},
            "loss": "cross_entropy",
            "transform": {"size": self.size},
            "training": training,
        }
        return resolve(spec, ltcore.load_plugins())

    def model(self, memory_format: torch.memory_format = torch.channels_last) -> nn.Module:
        """The same weights at each call."""
        torch.manual_seed(0)
        model = build_model(self.resolved(), self.classes).to(self.device)
        return model.to(memory_format=memory_format).train()

    def batches(self) -> Batches:
        """The images, augmented by ltcore."""
        images = self.images().transpose(0, 3, 1, 2)
        split = ltcore.Split(images, self.labels(), np.arange(len(images)).astype(str))
        resolved = self.resolved()
        augmentation = Augmentation(
            resolved.spec.transform, resolved.backbone, seed=0, device=self.device
        )
        return Batches(
            split, augmentation, batch_size=self.batch_size, device=self.device, rank=Rank(), room=0
        )

    def now(self) -> float:
        """The clock, when the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()
