"""The last layer of a model: linear or cosine, in float32, put in place of the one it came with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltcore.errors import SpecError
from ltcore.running.devices import outside_autocast

if TYPE_CHECKING:
    from ltcore.components import Head

_PASS_THROUGH = (nn.Identity, nn.Dropout, nn.Flatten)


class LinearHead(nn.Linear):
    """An ``nn.Linear`` that computes in its own float32, outside autocast.

    bfloat16 logits have 8 significant bits: they tie, and a tie goes to the lower index, which in
    long-tailed data is the larger class.
    """

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) features of any floating type -> (N, K) logits."""
        with outside_autocast(features.device):
            return super().forward(features.to(self.weight.dtype))


class CosineHead(nn.Module):
    """Scaled cosines of features and class vectors, without bias: ``scale * cos(f, w_j)``.

    Computed in float32 outside autocast. The class vectors start with random directions and
    length 1: their length leaves the logits alone, but divides the gradient.

    Args:
        in_features: D.
        num_classes: K.
        scale: s; the logits lie in [-s, s].

    Reference:
        Cao, Wei, Gaidon, Arechiga, Ma: Learning Imbalanced Datasets with Label-Distribution-Aware
        Margin Loss. NeurIPS 2019 (there the scale stands in the loss); Wang et al.: CosFace.
        CVPR 2018.
    """

    def __init__(self, in_features: int, num_classes: int, *, scale: float = 30.0) -> None:
        super().__init__()
        directions = torch.empty(num_classes, in_features).uniform_(-1, 1)
        self.weight = nn.Parameter(F.normalize(directions, dim=1))
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) features of any floating type -> (N, K) logits."""
        with outside_autocast(features.device):
            features = F.normalize(features.to(self.weight.dtype), dim=1)
            return self.scale * F.linear(features, F.normalize(self.weight, dim=1))

    def extra_repr(self) -> str:
        """The sizes and the scale, for the model's printout."""
        num_classes, in_features = self.weight.shape
        return f"in_features={in_features}, num_classes={num_classes}, scale={self.scale}"


def replace_head(model: nn.Module, num_classes: int, head: Head, *, scale: float = 30.0) -> str:
    """Put a new last layer for K classes in place of the model's last ``nn.Linear``.

    What stands before it (dropout, norm, flatten) stays.

    Args:
        model: a classifier whose last layer is an ``nn.Linear``, in order of registration.
        num_classes: K.
        head: ``linear`` or ``cosine``.
        scale: of a cosine head.

    Returns:
        The name of the last layer: where its parameters are in the model's state dict.

    Raises:
        SpecError: the model ends in something else.
    """
    name, last = last_layer(model)
    if not isinstance(last, nn.Linear):
        raise SpecError(
            f"backbone: {type(model).__name__} ends in {name} = {last}, not in an nn.Linear, so "
            "its classifier cannot be replaced. Choose a model that ends in a linear classifier."
        )
    new: nn.Module
    if head == "cosine":
        new = CosineHead(last.in_features, num_classes, scale=scale)
    else:
        new = LinearHead(last.in_features, num_classes)
    model.set_submodule(name, new)
    return name


def last_layer(model: nn.Module) -> tuple[str, nn.Module]:
    """The name and module of the last layer that computes something, in order of registration."""
    leaves = [
        (name, module)
        for name, module in model.named_modules()
        if name and not list(module.children()) and not isinstance(module, _PASS_THROUGH)
    ]
    if not leaves:
        raise SpecError(f"backbone: {type(model).__name__} has no layers")
    return leaves[-1]
