"""What the rules of a loss are looked at with: classes, criteria, logits and labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ltcore.components import Loss
from ltcore.protocol import class_groups, ranks
from ltcore.running.losses import PerSampleLoss
from ltcore.splits import Classes
from ltcore.testing.conformance import BrokenRuleError, NotApplicableError

Criterion = TypeVar("Criterion", bound=nn.Module)


@dataclass(frozen=True)
class LossSubject:
    """A loss, and examples for it.

    Attributes:
        component: the loss.
        counts: (K,) training images of each class.
    """

    component: Loss
    counts: NDArray[np.int64]

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.counts)

    def classes(self, order: Sequence[int] | None = None) -> Classes:
        """The classes, or the same in another order; a copy each time."""
        chosen = np.arange(self.num_classes) if order is None else np.array(order)
        names = tuple(f"class {index}" for index in chosen)
        groups = class_groups(ranks(self.counts))
        return Classes(names, self.counts[chosen], groups[chosen])

    def build(self, classes: Classes | None = None, epoch: int = 0) -> nn.Module:
        """A criterion in training mode, at the beginning of an epoch."""
        criterion = self.component.build(classes or self.classes()).train()
        for part in per_sample_losses(criterion):
            part.start_epoch(epoch)
        return criterion

    def build_settled(self, classes: Classes | None = None) -> nn.Module:
        """The same; in evaluation mode where it draws random numbers in training."""
        criterion = self.build(classes)
        values = [reseeded(criterion, seed)(*self.examples()) for seed in range(3)]
        return criterion.train(all(torch.equal(value, values[0]) for value in values))

    def build_per_sample(self) -> PerSampleLoss:
        """The same as :meth:`build`.

        Raises:
            NotApplicableError: it does not derive from PerSampleLoss.
        """
        criterion = self.build()
        if not isinstance(criterion, PerSampleLoss):
            raise NotApplicableError
        return criterion

    def examples(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Logits (3K, K) that want a gradient, and labels (3K,) with three of each class."""
        k = self.num_classes
        generator = torch.Generator().manual_seed(1)
        logits = 2 * torch.randn(3 * k, k, generator=generator, dtype=torch.float64)
        return logits.to(dtype).requires_grad_(), torch.arange(k).repeat(3)


def per_sample_losses(criterion: nn.Module) -> Iterator[PerSampleLoss]:
    """Those of its modules that ltcore hands a generator and tells the epoch."""
    return (part for part in criterion.modules() if isinstance(part, PerSampleLoss))


def reseeded(criterion: Criterion, seed: int = 0, *, generator_alone: bool = False) -> Criterion:
    """The criterion, about to draw the random numbers of a step, as a run seeds them."""
    if not generator_alone:
        torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    for part in per_sample_losses(criterion):
        part.generator = generator
    return criterion


def require_finite(value: Tensor, logits: Tensor, where: str = "") -> None:
    """Refuse a value, or a gradient with respect to the logits, that is NaN or infinite."""
    value.backward()  # type: ignore[no-untyped-call]
    if not value.isfinite():
        raise BrokenRuleError(f"the value is {value.item()} {where}".strip())
    if logits.grad is None or not logits.grad.isfinite().all():
        raise BrokenRuleError(f"the gradient is not finite {where}".strip())
