"""What the rules of a backbone are looked at with: models, images and logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor, nn

from ltcore.components import Backbone, Head

IMAGES = 4
K, OTHER_K = 5, 3
HEADS: tuple[Head, ...] = get_args(Head)
TOLERANCE = 1e-4  # of the largest logit: what the order of float32 sums may change


@dataclass(frozen=True)
class BackboneSubject:
    """A backbone, and images for it.

    Attributes:
        component: the backbone.
        size: the side of the images, in pixels.
    """

    component: Backbone
    size: int

    def build(
        self,
        num_classes: int = K,
        head: Head = "linear",
        *,
        head_scale: float = 10.0,
        seed: int = 3,
    ) -> nn.Module:
        """A model in evaluation mode, drawn from a seed as a run does."""
        torch.manual_seed(seed)
        component = self.component.model_copy(update={"head_scale": head_scale})
        return component.build(num_classes, head).eval()

    def images(self) -> Tensor:
        """(N, 3, size, size) float32, the same each time."""
        generator = torch.Generator().manual_seed(4)
        return torch.randn(IMAGES, 3, self.size, self.size, generator=generator)

    @torch.no_grad()
    def logits(self, model: nn.Module) -> Tensor:
        """What a model gives for the images."""
        logits: Tensor = model(self.images())
        return logits


def alike(first: Tensor, second: Tensor) -> bool:
    """Whether logits differ by no more than rounding."""
    return torch.allclose(first, second, rtol=0, atol=TOLERANCE * second.abs().max().item())
