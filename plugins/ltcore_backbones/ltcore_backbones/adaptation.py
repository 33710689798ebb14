"""What a run changes in a model, whichever it is: the last layer, and what is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

import ltcore
from ltcore_backbones.freezing import Stages, freeze_stages


@dataclass(frozen=True)
class Adaptation:
    """A new last layer, and frozen stages.

    Attributes:
        num_classes: K.
        head: the kind of the last layer.
        head_scale: of a cosine head.
        freeze: how many leading stages are not trained, or ``backbone`` for all but the head.
    """

    num_classes: int
    head: Literal["linear", "cosine"]
    head_scale: float
    freeze: int | Literal["backbone"]

    def apply(self, model: nn.Module, stages: Stages) -> str:
        """Change the model in place.

        Args:
            model: ends in an ``nn.Linear``.
            stages: those that can be frozen.

        Returns:
            The name of the last layer.

        Raises:
            SpecError: the model ends in something else, or has too few stages.
        """
        layer = ltcore.replace_head(model, self.num_classes, self.head, scale=self.head_scale)
        freeze_stages(model, stages, self.freeze, head=layer)
        return layer
