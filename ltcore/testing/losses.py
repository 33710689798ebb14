"""The check of a loss: its declaration, what it builds, and the rules of value and state."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import get_args

import numpy as np
from torch import nn

from ltcore.components import Head, Loss
from ltcore.testing.conformance import BrokenRuleError, Stage, run_rules
from ltcore.testing.declarations import DECLARATION, instance_of, label_of
from ltcore.testing.loss_state import STATE, leaves_its_arguments_alone
from ltcore.testing.loss_subject import LossSubject
from ltcore.testing.loss_values import VALUES, gives_one_real_number, gradient_reaches_the_logits

CLASS_COUNTS = (900, 300, 60, 12, 3)


def check_loss(
    component: Loss | type[Loss],
    *,
    class_counts: Sequence[int] = CLASS_COUNTS,
    skip: Collection[str] = (),
) -> tuple[str, ...]:
    """Check the rules that a run relies on in a loss.

    Args:
        component: with the parameters to check; a class stands for its defaults.
        class_counts: (K,) training images of each class, for a loss that does not take five
            classes of 900 to 3; better all different, else relabelling shows little.
        skip: names of rules that this loss breaks on purpose, a stopped gradient for one.

    Returns:
        The names of the rules that were looked at, at least one.

    Raises:
        ConformanceError: with every rule that is broken, what was found and what is expected.
    """
    loss = instance_of(component, Loss)  # type: ignore[type-abstract]
    subject = LossSubject(loss, np.asarray(class_counts, dtype=np.int64))
    stages = (
        Stage(DECLARATION, loss),
        Stage((declares_a_known_head, declares_a_known_prior), loss),
        Stage((builds_a_module,), subject, essential=True),
        Stage((leaves_its_arguments_alone,), subject, essential=True),
        Stage((gives_one_real_number,), subject, essential=True),
        Stage((gradient_reaches_the_logits,), subject, essential=True),
        Stage(VALUES + STATE, subject),
    )
    return run_rules(stages, label=label_of(loss), skip=skip)


def declares_a_known_head(loss: Loss) -> None:
    """``head`` is ``linear`` or ``cosine``."""
    if loss.head not in get_args(Head):
        raise BrokenRuleError(f"head is {loss.head!r}")


def declares_a_known_prior(loss: Loss) -> None:
    """``trained_prior`` is ``train`` or ``uniform``: reports adjust logits by it."""
    if loss.trained_prior not in ("train", "uniform"):
        raise BrokenRuleError(f"trained_prior is {loss.trained_prior!r}")


def builds_a_module(subject: LossSubject) -> None:
    """``build(classes)`` gives an ``nn.Module``."""
    criterion = subject.component.build(subject.classes())
    if not isinstance(criterion, nn.Module):
        raise BrokenRuleError(f"it built {criterion!r}")
