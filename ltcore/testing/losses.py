"""The check of a loss: its declaration, what it builds, and the rules of value and state."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from torch import nn

from ltcore.components import Loss
from ltcore.testing.conformance import BrokenRuleError, Stage, run_rules
from ltcore.testing.declarations import DECLARATION, instance_of, label_of
from ltcore.testing.loss_state import (
    STATE,
    gives_one_value_a_sample,
    leaves_its_arguments_alone,
)
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
        Stage((builds_a_module,), subject, essential=True),
        Stage((gives_one_value_a_sample,), subject, essential=True),
        Stage((leaves_its_arguments_alone,), subject, essential=True),
        Stage((gives_one_real_number,), subject, essential=True),
        Stage((gradient_reaches_the_logits,), subject, essential=True),
        Stage(VALUES + STATE, subject),
    )
    return run_rules(stages, label=label_of(loss), skip=skip)


def builds_a_module(subject: LossSubject) -> None:
    """``build(classes)`` gives an ``nn.Module``."""
    criterion = subject.component.build(subject.classes())
    if not isinstance(criterion, nn.Module):
        raise BrokenRuleError(f"it built {criterion!r}")
