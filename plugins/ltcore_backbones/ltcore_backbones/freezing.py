"""Freezing parts of a model, with what they would remember of the training images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from torch import nn

import ltcore

Stages = Sequence[Sequence[str]]
"""For each stage, first to last, the names of its modules or parameters."""


def freeze_stages(
    model: nn.Module, stages: Stages, freeze: int | Literal["backbone"], *, head: str
) -> None:
    """Take the leading stages of a model out of its training.

    Their parameters get ``requires_grad=False``, and their modules stay in eval mode when
    ``model.train()`` is called: batch norm keeps its statistics and normalises with them, and a
    frozen stage is the same function in every step. The state dict keeps its names.

    Args:
        model: changed in place.
        stages: those that can be frozen.
        freeze: how many of them; ``backbone`` freezes every parameter outside the head.
        head: the name of the last layer.

    Raises:
        SpecError: there are not so many stages.
    """
    names = [name for name, _ in model.named_parameters()]
    if freeze == "backbone":
        frozen = [name for name in names if not _within(name, [head])]
    elif freeze <= len(stages):
        frozen = [name for name in names if any(_within(name, stage) for stage in stages[:freeze])]
    else:
        raise ltcore.SpecError(
            f"backbone.freeze: {freeze} is too many, {type(model).__name__} has {len(stages)} "
            "stages that can be frozen; 'backbone' freezes all but the last layer"
        )
    if frozen:
        for name in frozen:
            model.get_parameter(name).requires_grad_(False)
        # torch has no hook on train(), and a wrapper would rename every key of the state dict.
        model.__class__ = type(type(model).__name__, (_KeepsFrozen, type(model)), {})
        model.train(model.training)


class _KeepsFrozen(nn.Module):
    """Mixed into a model's class: ``train()`` leaves in eval mode what has no trainable parameter.

    It looks at the modules of the moment, so that it also holds when batch norm layers have been
    replaced by synchronised ones.
    """

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.modules():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()
        return self


def _within(name: str, prefixes: Sequence[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)
