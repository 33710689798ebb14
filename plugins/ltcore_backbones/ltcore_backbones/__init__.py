"""Image classifiers of torchvision and timm, and the CIFAR ResNet-32, as ltcore components.

This module declares them: their names, parameters and defaults. The modules beside it make the
models, and are imported, and torch with them, when one is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import ltcore

if TYPE_CHECKING:
    from torch import nn

Head = Literal["linear", "cosine"]
Freeze = Annotated[int, ltcore.Field(ge=0)] | Literal["backbone"]

_VIT = "vit_base_patch16_224"
_TORCHVISION = "The name of torchvision's weights, a local file, or null for none."
_FREEZE = (
    "How many leading stages keep their weights and batch norm statistics, or 'backbone' for all "
    "but the last layer."
)


class ResNet50(ltcore.Backbone):
    """ResNet-50 of torchvision (He et al., 2016; the stride is in the 3 x 3 convolutions).

    Stages to freeze: stem, ``layer1`` to ``layer4`` (5).
    """

    name: ClassVar[str] = "resnet50"

    weights: str | None = ltcore.Field(default="IMAGENET1K_V2", description=_TORCHVISION)
    freeze: Freeze = ltcore.Field(default=0, description=_FREEZE)

    def build(self, num_classes: int, head: Head) -> nn.Module:
        """Make the model, with its weights."""
        from ltcore_backbones.adaptation import Adaptation
        from ltcore_backbones.torchvision_models import build_torchvision

        adaptation = Adaptation(num_classes, head, self.head_scale, self.freeze)
        return build_torchvision(self.name, self.weights, adaptation)


class MobileNetV2(ltcore.Backbone):
    """MobileNetV2 of torchvision (Sandler et al., 2018).

    Stages to freeze: ``features.0`` to ``features.18`` (19).
    """

    name: ClassVar[str] = "mobilenet_v2"

    weights: str | None = ltcore.Field(default="IMAGENET1K_V1", description=_TORCHVISION)
    freeze: Freeze = ltcore.Field(default=0, description=_FREEZE)

    def build(self, num_classes: int, head: Head) -> nn.Module:
        """Make the model, with its weights."""
        from ltcore_backbones.adaptation import Adaptation
        from ltcore_backbones.torchvision_models import build_torchvision

        adaptation = Adaptation(num_classes, head, self.head_scale, self.freeze)
        return build_torchvision(self.name, self.weights, adaptation)


class ConvNeXtBase(ltcore.Backbone):
    """ConvNeXt-Base of torchvision (Liu et al., 2022).

    Stages to freeze: ``features.0`` to ``features.7``, the last with the norm after it (8).
    """

    name: ClassVar[str] = "convnext_base"

    weights: str | None = ltcore.Field(default="IMAGENET1K_V1", description=_TORCHVISION)
    freeze: Freeze = ltcore.Field(default=0, description=_FREEZE)

    def build(self, num_classes: int, head: Head) -> nn.Module:
        """Make the model, with its weights."""
        from ltcore_backbones.adaptation import Adaptation
        from ltcore_backbones.torchvision_models import build_torchvision

        adaptation = Adaptation(num_classes, head, self.head_scale, self.freeze)
        return build_torchvision(self.name, self.weights, adaptation)


class ViTB16(ltcore.Backbone):
    """ViT-B/16 (Dosovitskiy et al., 2021) of timm, or of torchvision for torchvision's weights.

    It takes images of 224 x 224 pixels only. A timm tag is written in full: which weights the bare
    name stands for has changed from one version of timm to another.

    Stages to freeze: the embedding of patches, class and positions; 12 blocks, the last with the
    norm after it (13).
    """

    name: ClassVar[str] = "vit_b_16"

    weights: str | None = ltcore.Field(
        default=f"{_VIT}.augreg2_in21k_ft_in1k",
        description=f"A timm tag in full ({_VIT}.TAG), the name of torchvision's weights, a local "
        "file for timm's model, or null for none.",
    )
    freeze: Freeze = ltcore.Field(default=0, description=_FREEZE)

    @property
    def normalization(self) -> ltcore.Normalization:
        """The statistics of the weights; those of timm's model for a file and for no weights."""
        from ltcore_backbones.timm_models import timm_normalization

        model = self._timm_model()
        return super().normalization if model is None else timm_normalization(model)

    def build(self, num_classes: int, head: Head) -> nn.Module:
        """Make the model, with its weights."""
        from ltcore_backbones.adaptation import Adaptation
        from ltcore_backbones.timm_models import build_timm
        from ltcore_backbones.torchvision_models import build_torchvision

        adaptation = Adaptation(num_classes, head, self.head_scale, self.freeze)
        model = self._timm_model()
        if model is None:
            return build_torchvision(self.name, self.weights, adaptation)
        return build_timm(model, self.weights if model == _VIT else "pretrained", adaptation)

    def _timm_model(self) -> str | None:
        """The model's name in timm, with the weights' tag; None for torchvision's weights."""
        from ltcore_backbones.weights_files import is_file

        if self.weights is None or is_file(self.weights):
            return _VIT
        if "." not in self.weights:
            return None
        if not self.weights.startswith(f"{_VIT}."):
            raise ltcore.SpecError(
                f"backbone.weights: {self.weights!r} is no tag of {_VIT}. Give one in full, like "
                f"{type(self).model_fields['weights'].default!r}, or use the backbone 'timm'."
            )
        return self.weights


class ResNet32(ltcore.Backbone):
    """The ResNet-32 for CIFAR of the long-tail literature (He et al., 2016), 0.46 M parameters.

    Stages to freeze: stem, ``layer1`` to ``layer3`` (4).
    """

    name: ClassVar[str] = "resnet32"
    input_size: ClassVar[int] = 32

    weights: str | None = ltcore.Field(default=None, description="A local file, or null for none.")
    freeze: Freeze = ltcore.Field(default=0, description=_FREEZE)

    @property
    def normalization(self) -> ltcore.Normalization:
        """CIFAR-10's, which the literature feeds this network with on CIFAR-100 as well."""
        return ltcore.Normalization((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))

    def build(self, num_classes: int, head: Head) -> nn.Module:
        """Make the model, with its weights."""
        from ltcore_backbones.adaptation import Adaptation
        from ltcore_backbones.resnet32 import build_resnet32

        adaptation = Adaptation(num_classes, head, self.head_scale, self.freeze)
        return build_resnet32(self.weights, adaptation)


class Timm(ltcore.Backbone):
    """Any model of timm that ends in one linear classifier.

    Stages to freeze: timm's own, from the stem on (``group_matcher(coarse=True)``); asking for too
    many tells how many there are.
    """

    name: ClassVar[str] = "timm"

    model: str = ltcore.Field(
        description="timm's name of the model, with the tag of its weights: resnet18.a1_in1k."
    )
    weights: str | None = ltcore.Field(
        default="pretrained",
        description="'pretrained' for the weights of the tag, a local file, or null for none.",
    )
    freeze: Freeze = ltcore.Field(default=0, description=_FREEZE)

    @property
    def normalization(self) -> ltcore.Normalization:
        """The statistics that timm notes for the model and tag, whatever the weights are."""
        from ltcore_backbones.timm_models import timm_normalization

        return timm_normalization(self.model)

    def build(self, num_classes: int, head: Head) -> nn.Module:
        """Make the model, with its weights."""
        from ltcore_backbones.adaptation import Adaptation
        from ltcore_backbones.timm_models import build_timm

        adaptation = Adaptation(num_classes, head, self.head_scale, self.freeze)
        return build_timm(self.model, self.weights, adaptation)


@ltcore.hookimpl
def ltcore_register_backbones() -> Sequence[type[ltcore.Backbone]]:
    """Offer the six backbones."""
    return [ResNet50, MobileNetV2, ConvNeXtBase, ViTB16, ResNet32, Timm]
