"""Each loss's forward and backward pass against PyTorch's cross-entropy of the same logits.

On one thread and the CPU, with logits as a training step of CIFAR-100-LT has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

import ltcore
import ltcore_losses
from benchmarks.comparison import Comparison, Options, Ratio
from benchmarks.timing import seconds, threads
from ltcore.protocol import class_groups, profile_counts, ranks

N, K = 128, 100
BASELINE = "F.cross_entropy"
# The most that a loss may take, in times of the cross-entropy.
AT_MOST = {
    "weighted_cross_entropy": 1.15,
    "class_balanced": 1.15,
    "balanced_softmax": 1.5,
    "focal": 3.0,
    "equalization": 3.0,
    "ldam": 3.0,
}
Loss = Callable[[Tensor, Tensor], Tensor]


def build_losses() -> dict[str, Loss]:
    """By name: the function that all are measured by, PyTorch's module, ltcore's in training."""
    counts = profile_counts(K, 450, 0.01)
    names = tuple(f"class {k}" for k in range(K))
    classes = ltcore.Classes(names, counts, class_groups(ranks(counts)))
    losses: dict[str, Loss] = {
        BASELINE: F.cross_entropy,
        "torch.nn.CrossEntropyLoss": torch.nn.CrossEntropyLoss(),  # the cost of being a module
    }
    for component in ltcore_losses.ltcore_register_losses():
        criterion = component().build(classes)
        for part in criterion.modules():
            if isinstance(part, ltcore.PerSampleLoss):
                part.generator = torch.Generator().manual_seed(0)
        losses[component.name] = criterion
    return losses


def forward_and_backward(loss: Loss, logits: Tensor, labels: Tensor) -> None:
    """What a training step computes of a loss."""
    logits.grad = None
    loss(logits, labels).backward()  # type: ignore[no-untyped-call]


def comparisons(options: Options) -> Iterator[Comparison]:
    """All losses of the same logits."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(N, K, generator=generator).requires_grad_()
    labels = torch.randint(K, (N,), generator=generator)
    calls = 1 if options.quick else 50  # some milliseconds, against microseconds of the clock
    losses = build_losses()
    contenders = {
        name: partial(seconds, partial(forward_and_backward, loss, logits, labels), calls)
        for name, loss in losses.items()
    }
    with threads(1):
        yield Comparison(
            f"{N} x {K} logits",
            contenders,
            [
                Ratio(name, BASELINE, at_most=AT_MOST.get(name))
                for name in losses
                if name != BASELINE
            ],
            repeats=20,
            remark=lambda medians: f"{BASELINE} takes {medians[BASELINE] * 1e6:.0f} us",
        )
