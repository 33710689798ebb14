"""Cross-entropy that plays down the samples that the model has right already."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ltcore import PerSampleLoss


class FocalLoss(PerSampleLoss):
    """Cross-entropy times a power of the probability that the model gives to all other classes.

    With logits ``z``, true class ``y``, ``p_y = e^{z_y} / sum_j e^{z_j}`` and ``gamma >= 0``::

        l = -(1 - p_y)^gamma log p_y

    At ``gamma = 0`` this is cross-entropy. The default, 2.0, is Lin et al.'s. They focus a sigmoid
    for each class, with an ``alpha`` for the positives; this is the softmax form of the long-tail
    literature, without it. The gradient goes through ``p_y`` in both factors. In [0, inf), lower
    is better.

    Args:
        gamma: at least 0: how strongly.

    Reference:
        Lin, Goyal, Girshick, He, Dollár: Focal Loss for Dense Object Detection. ICCV 2017.
    """

    def __init__(self, *, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma

    def per_sample(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(N,) the loss of each sample, of logits (N, K) and labels (N,)."""
        true = labels.unsqueeze(1)
        others = logits.scatter(1, true, -torch.inf).logsumexp(1)
        # p_y and 1 - p_y are sigmoids of the log odds: neither log cancels or overflows, whereas
        # 1 - p_y itself is 0 in float32 where p_y is within 6e-8 of 1.
        log_odds = logits.gather(1, true).squeeze(1) - others
        focus = torch.exp(self.gamma * F.logsigmoid(-log_odds))
        return -focus * F.logsigmoid(log_odds)

    def extra_repr(self) -> str:
        """What the module's text shows between its brackets."""
        return f"gamma={self.gamma}"
