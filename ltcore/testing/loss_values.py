"""The rules of a loss's value and gradient."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError, gradcheck

from ltcore.errors import SpecError
from ltcore.testing.conformance import BrokenRuleError
from ltcore.testing.loss_subject import LossSubject, require_finite, reseeded


def gives_one_real_number(subject: LossSubject) -> None:
    """Logits (N, K) and labels (N,) give a scalar tensor of a real floating type."""
    value = subject.build()(*subject.examples())
    if not isinstance(value, Tensor):
        raise BrokenRuleError(f"it gave a {type(value).__name__}")
    if value.ndim or not value.is_floating_point():
        raise BrokenRuleError(f"it gave a tensor of shape {tuple(value.shape)} and {value.dtype}")


def gradient_reaches_the_logits(subject: LossSubject) -> None:
    """``backward`` gives logits of moderate size a finite gradient that is not all zero."""
    logits, labels = subject.examples()
    value = subject.build()(logits, labels)
    if not value.requires_grad:
        raise BrokenRuleError("the value has no gradient (detached?)")
    require_finite(value, logits)
    if logits.grad is None or not logits.grad.any():
        raise BrokenRuleError("the gradient is zero")


def gradient_is_that_of_the_value(subject: LossSubject) -> None:
    """The gradient is the derivative of the value, by finite differences of float64 logits.

    A loss that computes in float32 whatever it is given is differenced more coarsely.
    """
    k = subject.num_classes
    logits, labels = (tensor.detach()[:k] for tensor in subject.examples(torch.float64))
    criterion = subject.build()

    def value_of(z: Tensor) -> Tensor:
        value: Tensor = reseeded(criterion)(z, labels)
        return value.double()

    precise = reseeded(criterion)(logits, labels).dtype == torch.float64
    eps, atol, rtol = (1e-6, 1e-6, 1e-3) if precise else (1e-2, 1e-3, 1e-2)
    try:
        gradcheck(value_of, (logits.requires_grad_(),), eps=eps, atol=atol, rtol=rtol)
    except GradcheckError as error:
        raise BrokenRuleError(str(error).strip().partition("\n")[0]) from error


def being_right_costs_less(subject: LossSubject) -> None:
    """Lower is better: logits for the true class cost less than logits for another."""
    k = subject.num_classes
    labels = torch.arange(k)
    right = 20 * torch.eye(k)
    values = [reseeded(subject.build())(z, labels).item() for z in (right, right.roll(1, 0))]
    if not values[0] < values[1]:
        raise BrokenRuleError(f"being right costs {values[0]:.4g}, being wrong {values[1]:.4g}")


def stays_finite_for_extreme_logits(subject: LossSubject) -> None:
    """Value and gradient are finite for logits of -1e4, 0 and 1e4, in fp32, bf16 and fp16."""
    k = subject.num_classes
    generator = torch.Generator().manual_seed(2)
    rows = 1e4 * torch.randint(-1, 2, (40, k), generator=generator).double()
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        logits = rows.repeat_interleave(k, 0).to(dtype).requires_grad_()
        value = subject.build()(logits, torch.arange(k).repeat(len(rows)))
        require_finite(value, logits, f"for {dtype}")


def takes_a_single_sample(subject: LossSubject) -> None:
    """A batch of one, as the last of an epoch may be, has a finite value and gradient."""
    logits, labels = subject.examples()
    single = logits[:1].detach().requires_grad_()
    require_finite(subject.build()(single, labels[:1]), single, "for one sample")


def refuses_or_bears_empty_classes(subject: LossSubject) -> None:
    """With a class that has no training image, it raises SpecError or stays finite."""
    counts = subject.counts.copy()
    counts[-1] = 0
    sparse = LossSubject(subject.component, counts)
    logits, labels = sparse.examples()
    labels = labels % (sparse.num_classes - 1)
    try:
        criterion = sparse.build()
    except SpecError:
        return
    require_finite(criterion(logits, labels), logits, "for a class without images")


def relabelling_classes_changes_nothing(subject: LossSubject) -> None:
    """Numbering the classes differently, with their counts, changes neither value nor gradient."""
    k = subject.num_classes
    order = torch.arange(k).roll(1)
    logits, labels = subject.examples()
    moved = logits.detach()[:, order].requires_grad_()
    value = subject.build_settled()(logits, labels)
    again = subject.build_settled(subject.classes(order.tolist()))(moved, order.argsort()[labels])
    _require_same(value, again, logits, moved, lambda gradient: gradient[:, order])


def order_within_the_batch_changes_nothing(subject: LossSubject) -> None:
    """A batch in another order has the same value, and each sample the same gradient."""
    logits, labels = subject.examples()
    order = torch.arange(len(labels)).roll(1)
    moved = logits.detach()[order].requires_grad_()
    criterion = subject.build_settled()
    value, again = criterion(logits, labels), criterion(moved, labels[order])
    _require_same(value, again, logits, moved, lambda gradient: gradient[order])


VALUES = (
    gradient_is_that_of_the_value,
    being_right_costs_less,
    stays_finite_for_extreme_logits,
    takes_a_single_sample,
    refuses_or_bears_empty_classes,
    relabelling_classes_changes_nothing,
    order_within_the_batch_changes_nothing,
)


def _require_same(
    value: Tensor,
    again: Tensor,
    logits: Tensor,
    moved: Tensor,
    move: Callable[[Tensor], Tensor],
) -> None:
    if not torch.allclose(value, again, rtol=1e-4):
        raise BrokenRuleError(f"the value {value.item():.6g} became {again.item():.6g}")
    [gradient] = torch.autograd.grad(value, logits)
    [moved_gradient] = torch.autograd.grad(again, moved)
    if not torch.allclose(move(gradient), moved_gradient, rtol=1e-4, atol=1e-6):
        raise BrokenRuleError("the value is the same, its gradient is not")
