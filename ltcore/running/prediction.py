"""Logits of a split, each image scored once, in the split's order."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltcore.running.batches import Batches
from ltcore.running.devices import autocast


@torch.inference_mode()
def predict(model: nn.Module, batches: Batches, precision: str) -> Tensor:
    """(N, K) float32 on the device, from the model in evaluation mode."""
    model.eval()
    logits = []
    for images in batches.evaluation():
        with autocast(images.device, precision):
            logits.append(model(images).float())
    return torch.cat(logits)


def score(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Plain cross-entropy and top-1 of logits (N, K) against labels (N,)."""
    loss = F.cross_entropy(logits.double(), labels)
    top1 = (logits.argmax(dim=1) == labels).double().mean()
    return float(loss), float(top1)
