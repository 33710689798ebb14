"""Logits of a split, each image scored once, in the split's order."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltcore.ranks import Rank
from ltcore.running.batches import Batches
from ltcore.running.checking import check_predicted_logits
from ltcore.running.devices import autocast
from ltcore.running.exchange import gather_split


@torch.inference_mode()
def predict(
    model: nn.Module,
    batches: Batches,
    precision: str,
    rank: Rank,
    before_batch: Callable[[], None] = lambda: None,
) -> Tensor:
    """(N, K) float32 on the device, from the model in evaluation mode.

    Args:
        model: images (N, 3, H, W) -> logits (N, K).
        batches: of the split.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        rank: which one this process is; every rank gets the logits of the whole split.
        before_batch: called before each batch; what it raises ends the prediction.

    Raises:
        PluginError: the model gave something of the wrong form.
    """
    model.eval()
    parts = []
    for images in batches.evaluation():
        before_batch()
        with autocast(images.device, precision):
            logits = model(images)
        check_predicted_logits(logits, images)
        parts.append(logits.float())
    return gather_split(torch.cat(parts), len(batches.labels), rank)


def score(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Plain cross-entropy and top-1 of logits (N, K) against labels (N,), computed on the CPU."""
    logits, labels = logits.cpu(), labels.cpu()  # some devices have no float64
    loss = F.cross_entropy(logits.double(), labels)
    top1 = (logits.argmax(dim=1) == labels).double().mean()
    return float(loss), float(top1)
