"""The check of a backbone: its declaration, what it builds, and the rules of logits and state."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from ltcore.components import Backbone
from ltcore.testing.backbone_logits import LOGITS, gives_one_logit_a_class
from ltcore.testing.backbone_state import STATE
from ltcore.testing.backbone_subject import HEADS, BackboneSubject, K
from ltcore.testing.conformance import BrokenRuleError, Stage, run_rules
from ltcore.testing.declarations import DECLARATION, instance_of, label_of


def check_backbone(
    component: Backbone | type[Backbone], *, size: int | None = None, skip: Collection[str] = ()
) -> tuple[str, ...]:
    """Check the rules that a run relies on in a backbone.

    It is built a dozen times, so pass an instance that downloads no weights.

    Args:
        component: with the parameters to check; a class stands for its defaults.
        size: the side of the images, in pixels; the component's ``input_size`` where None.
        skip: names of rules that this backbone breaks on purpose.

    Returns:
        The names of the rules that were looked at, at least one.

    Raises:
        ConformanceError: with every rule that is broken, what was found and what is expected.
    """
    backbone = instance_of(component, Backbone)  # type: ignore[type-abstract]
    subject = BackboneSubject(backbone, size or backbone.input_size)
    stages = (
        Stage(DECLARATION, backbone),
        Stage((declares_a_normalization,), backbone),
        Stage((declares_an_input_size,), backbone, essential=True),
        Stage((builds_a_module,), subject, essential=True),
        Stage((gives_one_logit_a_class,), subject, essential=True),
        Stage(LOGITS + STATE, subject),
    )
    return run_rules(stages, label=label_of(backbone), skip=skip)


def declares_an_input_size(backbone: Backbone) -> None:
    """``input_size`` is a positive number of pixels."""
    if not isinstance(backbone.input_size, int) or backbone.input_size < 1:
        raise BrokenRuleError(f"input_size is {backbone.input_size!r}")


def declares_a_normalization(backbone: Backbone) -> None:
    """``normalization`` holds a mean in [0, 1] and a std in (0, 1] for each of three channels."""
    mean, std = backbone.normalization
    within = all(0 <= m <= 1 for m in mean) and all(0 < s <= 1 for s in std)
    if len(mean) != 3 or len(std) != 3 or not within:
        raise BrokenRuleError(f"mean {mean}, std {std}")


def builds_a_module(subject: BackboneSubject) -> None:
    """``build(num_classes, head)`` gives an ``nn.Module`` for a linear and for a cosine head."""
    for head in HEADS:
        model = subject.component.build(K, head)
        if not isinstance(model, nn.Module):
            raise BrokenRuleError(f"it built {model!r} for a {head} head")
