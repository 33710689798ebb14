"""Cross-entropy that plays down the samples that the model has right already."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

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
        losses: Tensor = _FocalLosses.apply(logits, labels, self.gamma)
        return losses

    def extra_repr(self) -> str:
        """What the module's text shows between its brackets."""
        return f"gamma={self.gamma}"


class _FocalLosses(torch.autograd.Function):
    """The losses, (N,), of logits (N, K), labels (N,) and gamma; differentiable once.

    With the log odds ``o = z_y - log sum_{j != y} e^{z_j}``::

        log p_y = logsigmoid(o),    p_y = sigmoid(o),    1 - p_y = sigmoid(-o)
        -dl/do  = (1 - p_y)^gamma (1 - p_y - gamma p_y log p_y)
        do/dz_y = 1,    do/dz_j = -e^{z_j} / sum_{k != y} e^{z_k}

    None of them cancels or overflows, nor does -dl/do: 1 - p_y and -gamma p_y log p_y are both at
    least 0. 1 - p_y as a difference would be 0 in float32 where p_y is within 6e-8 of 1. The
    derivative is written out because autograd's way back, through a dozen operations, takes longer
    than all of this.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
        true = labels.unsqueeze(1)
        others = logits.scatter(1, true, -torch.inf)
        shares = others.softmax(1)
        # The largest share is e^max / sum, which gives the log of the sum without another exp.
        log_sum = others.amax(1) - shares.amax(1).log()
        log_odds = logits.gather(1, true).squeeze(1) - log_sum
        log_p, rest = F.logsigmoid(log_odds), torch.sigmoid(-log_odds)
        focus = rest**gamma
        descent = focus * torch.addcmul(rest, log_odds.sigmoid(), log_p, value=-gamma)  # -dl/do
        ctx.save_for_backward(true, shares, descent)
        return -focus * log_p

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_loss: Tensor) -> tuple[Tensor, None, None]:
        true, shares, descent = ctx.saved_tensors
        by_others = (by_loss * descent).unsqueeze(1)
        return (shares * by_others).scatter_(1, true, -by_others), None, None
