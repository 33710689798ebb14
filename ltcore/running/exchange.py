"""What the ranks of a step and of an evaluation share out, and put together again.

A step's loss is that of the whole batch: averaging the losses of the ranks is another number where
their shares are uneven or the loss is weighted. Each rank puts its images through the model, takes
the logits of all, and computes the same loss from them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ltcore.ranks import Rank


def share_of_batch(batch: Tensor, rank: Rank) -> Tensor:
    """A rank's consecutive part of a batch (N,): sizes differ by one at most, the first is largest.

    A rank that would have none takes the first image, whose logits :func:`gather_logits` leaves
    out: every rank must go through the model.
    """
    share = torch.tensor_split(batch, rank.of)[rank.number]
    return share if len(share) else batch[:1]


def share_of_split(n: int, rank: Rank) -> Tensor:
    """(ceil(n / ranks),) int64: the rank's indices ``number, number + ranks, ...`` of a split.

    Beyond the last image the last one stands in, so that all shares are equally long;
    :func:`gather_split` cuts what is beyond.
    """
    steps = torch.arange(math.ceil(n / rank.of)) * rank.of + rank.number
    return steps.clamp_(max=n - 1)


def gather_split(values: Tensor, n: int, rank: Rank) -> Tensor:
    """(n, K) in the split's order from each rank's (ceil(n / ranks), K)."""
    if rank.alone:
        return values
    parts = [torch.empty_like(values) for _ in range(rank.of)]
    dist.all_gather(parts, values.contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)[:n]


def gather_logits(logits: Tensor, n: int, rank: Rank) -> Tensor:
    """(N, K) logits of the whole batch, with gradient, from each rank's share of it.

    The gradient that reaches a rank's share is scaled by the number of ranks, which is what
    DistributedDataParallel's mean over ranks divides by.

    Args:
        logits: of :func:`share_of_batch`'s images.
        n: N.
        rank: whose share it is.
    """
    if rank.alone:
        return logits
    gathered: Tensor = _Gather.apply(logits, n, rank)
    return gathered


def parallel(model: nn.Module, images: Tensor, rank: Rank) -> nn.Module:
    """The model with its gradients averaged over the ranks: what a training step calls.

    Gradients travel in buckets that are laid out anew after the first backward pass, and the order
    of a sum depends on the layout. One pass here, which changes nothing, makes the first step's
    layout that of all others: a resumed run adds as an unbroken one does. A pass before it sees
    whether some parameters take no part; DistributedDataParallel then looks for them at each step.

    Args:
        model: on its device; the first rank's weights are given to all.
        images: (N, 3, H, W) that the model takes.
        rank: which one this process is.
    """
    if rank.alone:
        return model
    cuda = images.device.type == "cuda"
    model.eval()  # batch norm keeps its statistics
    model(images).sum().backward()
    unused = any(p.grad is None for p in model.parameters() if p.requires_grad)
    model.zero_grad(set_to_none=True)
    wrapped = DistributedDataParallel(
        model,
        device_ids=[images.device] if cuda else None,
        gradient_as_bucket_view=True,
        find_unused_parameters=unused,
    )
    wrapped(images).sum().backward()
    model.zero_grad(set_to_none=True)
    return wrapped


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, n: int, rank: Rank) -> Tensor:
        sizes = [n // rank.of + (number < n % rank.of) for number in range(rank.of)]
        begin = sum(sizes[: rank.number])
        ctx.own, ctx.padding = slice(begin, begin + sizes[rank.number]), len(logits)
        ctx.ranks = rank.of
        padded = F.pad(logits.detach(), (0, 0, 0, max(sizes) - len(logits))).contiguous()
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        own = gradient[ctx.own] * ctx.ranks
        return F.pad(own, (0, 0, 0, ctx.padding - len(own))), None, None
