"""Cross-entropy that plays down the samples that the model has right already."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ltcore import PerSampleLoss

_EXACT = 40.0  # above it softplus is its argument, in float64 too


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
        losses: Tensor = _FocalLosses.apply(logits, labels, self.gamma, None)
        return losses

    def reduced(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The scalar of a batch, of logits (N, K) and labels (N,), in one step back."""
        shares = self.shares(logits, labels)
        loss: Tensor = _FocalLosses.apply(logits, labels, self.gamma, shares)
        return loss

    def extra_repr(self) -> str:
        """What the module's text shows between its brackets."""
        return f"gamma={self.gamma}"


class _FocalLosses(torch.autograd.Function):
    """The losses, (N,), of logits (N, K), labels (N,) and gamma; differentiable once.

    With shares, (N,), it is the scalar that they add up to.

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
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, gamma: float, shares: Tensor | None
    ) -> Tensor:
        true = labels.unsqueeze(1)
        others = logits.scatter(1, true, -torch.inf)
        largest = others.amax(1, keepdim=True)
        others.sub_(largest).exp_()
        total = others.sum(1, keepdim=True)
        against = largest.add_(total.log()).sub_(logits.gather(1, true))  # -o
        rest, nll = against.sigmoid(), F.softplus(against, threshold=_EXACT)
        focus = rest**gamma
        descent = torch.addcmul(rest, against.neg_().sigmoid_(), nll, value=gamma).mul_(focus)
        ctx.save_for_backward(true, others, total, descent, shares)
        losses = focus.mul_(nll).squeeze(1)
        return losses if shares is None else torch.dot(losses, shares)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_loss: Tensor) -> tuple[Tensor, None, None, None]:
        true, others, total, descent, shares = ctx.saved_tensors
        by_losses = by_loss if shares is None else by_loss * shares
        by_true = by_losses.unsqueeze(1) * descent
        return (others * (by_true / total)).scatter_(1, true, by_true.neg_()), None, None, None
