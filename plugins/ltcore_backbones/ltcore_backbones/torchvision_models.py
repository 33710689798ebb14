"""torchvision's models by name, with torchvision's weights, a file's or none."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn
from torchvision import models

import ltcore
from ltcore_backbones.adaptation import Adaptation
from ltcore_backbones.downloads import torch_hub_file
from ltcore_backbones.freezing import Stages
from ltcore_backbones.weights_files import is_file, load_weights, read_weights

# A norm between the last block and the head goes with the last stage: all stages frozen leave the
# head alone.
STAGES: Mapping[str, Stages] = {
    "resnet50": [["conv1", "bn1"], ["layer1"], ["layer2"], ["layer3"], ["layer4"]],
    "mobilenet_v2": [[f"features.{i}"] for i in range(19)],
    "convnext_base": [*([f"features.{i}"] for i in range(7)), ["features.7", "classifier.0"]],
    "vit_b_16": [
        ["conv_proj", "class_token", "encoder.pos_embedding"],
        *([f"encoder.layers.encoder_layer_{i}"] for i in range(11)),
        ["encoder.layers.encoder_layer_11", "encoder.ln"],
    ],
}


def build_torchvision(name: str, weights: str | None, adaptation: Adaptation) -> nn.Module:
    """Make a model of torchvision.

    Args:
        name: one of ``STAGES``, torchvision's own name.
        weights: the name of torchvision weights, a file, or None.
        adaptation: what to change in it.

    Raises:
        SpecError: unknown weights, a file that does not fit, or too few stages.
        SurroundingsError: the weights cannot be had.
    """
    url = None if weights is None or is_file(weights) else weights_url(name, weights)
    model: nn.Module = models.get_model(name, weights=None)
    head = adaptation.apply(model, STAGES[name])
    if weights is not None:
        state = read_weights(weights if url is None else torch_hub_file(url))
        load_weights(model, state, head=head, source=weights)
    return model


def weights_url(model: str, weights: str) -> str:
    """Where the weights of a name are, among torchvision's of a model for at most 224 pixels.

    ``DEFAULT`` is none of them: what it stands for changes with torchvision's version.

    Raises:
        SpecError: there are none of this name.
    """
    known: dict[str, str] = {
        entry.name: entry.url
        for entry in models.get_model_weights(model)
        if max(entry.meta["min_size"]) <= ltcore.Backbone.input_size
    }
    if weights not in known:
        raise ltcore.SpecError(
            f"backbone.weights: torchvision has no weights {weights!r} for {model}. Known: "
            f"{', '.join(known)}. A file is told by its suffix (.safetensors, .pt, .pth)."
        )
    return known[weights]
