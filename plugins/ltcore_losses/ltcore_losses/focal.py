"""Cross-entropy that plays down the samples that the model has right already."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

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
        if self.class_weights is not None:
            return super().reduced(logits, labels)
        loss: Tensor = _FocalLosses.apply(logits, labels, self.gamma, 1 / len(labels))
        return loss

    def extra_repr(self) -> str:
        """What the module's text shows between its brackets."""
        return f"gamma={self.gamma}"


class _FocalLosses(torch.autograd.Function):
    """The losses, (N,), of logits (N, K), labels (N,) and gamma.

    With a share, which is what each of them counts, it is the scalar that they add up to.

    With ``r = 1 - p_y``, the sum of the other classes' probabilities::

        dl/dz_y = -r^gamma (r - gamma p_y log p_y)
        dl/dz_j = r^{gamma - 1} (r - gamma p_y log p_y) p_j
        -log p_y = softplus(log r - log p_y)

    None of them cancels or overflows. ``1 - p_y`` as a difference and the log-softmax's ``log p_y``
    would be 0 in float32 where p_y is within 6e-8 of 1. The derivative is written out because
    autograd's way back, through a dozen operations, takes longer than all of this.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, gamma: float, share: float | None
    ) -> Tensor:
        true = labels.unsqueeze(1)
        log_p = torch.log_softmax(logits, 1)
        log_p_y = log_p.gather(1, true)
        # In place of p_y the least number there is keeps r from being 0, whose powers are not.
        others = log_p.exp_().scatter_(1, true, torch.finfo(log_p.dtype).tiny)
        rest = others.sum(1, keepdim=True)
        nll = F.softplus(rest.log().sub_(log_p_y), threshold=_EXACT)
        focus = rest ** (gamma - 1)
        if share is not None:
            focus.mul_(share)
        slope = torch.addcmul(rest, log_p_y.exp_(), nll, value=gamma).mul_(focus)
        losses = nll.mul_(focus).mul_(rest)
        direction = others.scatter_(1, true, rest.neg_())
        ctx.save_for_backward(logits, labels, direction, slope)
        ctx.gamma, ctx.share = gamma, share
        return losses.squeeze(1) if share is None else losses.sum()

    @staticmethod
    def backward(ctx: Any, by_loss: Tensor) -> tuple[Tensor, None, None, None]:
        logits, labels, direction, slope = ctx.saved_tensors
        if torch.is_grad_enabled():  # this will be differentiated in its turn
            logits = logits.view_as(logits)  # whose hooks are for the gradient alone
            losses = _differentiable(logits, labels, ctx.gamma)
            loss = losses if ctx.share is None else losses.sum() * ctx.share
            [gradient] = torch.autograd.grad(loss, logits, by_loss, create_graph=True)
        else:
            gradient = direction * (slope * by_loss.unsqueeze(-1))
        return gradient, None, None, None


def _differentiable(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """(N,) the same losses, which autograd differentiates as often as is asked for."""
    true = labels.unsqueeze(1)
    log_p = torch.log_softmax(logits, 1)
    others = log_p.scatter(1, true, math.log(torch.finfo(log_p.dtype).tiny))
    against = others.logsumexp(1, keepdim=True) - log_p.gather(1, true)
    nll = F.softplus(against, threshold=_EXACT)
    return ((gamma * F.logsigmoid(against)).exp() * nll).squeeze(1)
