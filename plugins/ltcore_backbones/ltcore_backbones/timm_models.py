"""Models of timm by name, with timm's weights, a file's or none."""

from __future__ import annotations

import difflib
from typing import Any

import timm
from safetensors import SafetensorError
from timm.models import PretrainedCfg, group_parameters
from torch import nn

import ltcore
from ltcore_backbones.adaptation import Adaptation
from ltcore_backbones.downloads import hugging_face_file, torch_hub_file
from ltcore_backbones.freezing import Stages
from ltcore_backbones.weights_files import is_file, load_weights, read_weights

_SHOWN = 10


def build_timm(name: str, weights: str | None, adaptation: Adaptation) -> nn.Module:
    """Make a model of timm.

    Args:
        name: timm's name, with a tag where the weights are ``pretrained``.
        weights: ``pretrained``, a file, or None.
        adaptation: what to change in it.

    Raises:
        SpecError: unknown name or tag, no single linear classifier at the end, a file that does
            not fit, or too few stages.
        SurroundingsError: the weights cannot be had.
    """
    config = timm_config(name)
    if not isinstance(config.classifier, str):
        raise ltcore.SpecError(
            f"backbone.model: {name!r} has the classifiers {config.classifier}, and one is to be "
            "replaced; choose a model that ends in a single linear one"
        )
    # Weights without a classifier have 0 classes: the model then gets one to be replaced at once.
    num_classes = config.num_classes or adaptation.num_classes
    if weights == "pretrained":
        model = _pretrained(name, config, num_classes)
    elif weights is None or is_file(weights):
        model = timm.create_model(name, num_classes=num_classes)
    else:
        raise ltcore.SpecError(
            f"backbone.weights: {weights!r} is neither 'pretrained' nor a file (.safetensors, .pt, "
            ".pth) nor null; a tag belongs to the model's name"
        )
    head = adaptation.apply(model, timm_stages(model, config.classifier))
    if weights not in (None, "pretrained"):
        load_weights(model, read_weights(weights), head=head, source=weights)
    return model


def timm_normalization(name: str) -> ltcore.Normalization:
    """The channel statistics that timm notes for a model and tag.

    Raises:
        SpecError: unknown name or tag.
    """
    config = timm_config(name)
    (r, g, b), (r_std, g_std, b_std) = config.mean, config.std
    return ltcore.Normalization((r, g, b), (r_std, g_std, b_std))


def timm_config(name: str) -> PretrainedCfg:
    """What timm notes for a model and tag: where its weights are, its statistics, its classifier.

    Raises:
        SpecError: unknown name or tag.
    """
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models())
        raise ltcore.SpecError(
            f"backbone.model: timm {timm.__version__} has no model {architecture!r}."
            + (f" Near: {', '.join(near)}." if near else "")
        )
    try:
        return timm.get_pretrained_cfg(name) or PretrainedCfg()
    except RuntimeError:
        raise ltcore.SpecError(
            f"backbone: timm {timm.__version__} has no weights {name!r}. Known: "
            f"{_tags(architecture)}."
        ) from None


def timm_stages(model: Any, classifier: str) -> Stages:
    """Timm's coarse groups of parameters, first to last, without the one of the classifier.

    Empty for the few models that timm has not divided.
    """
    try:
        groups = group_parameters(model, model.group_matcher(coarse=True))
    except (AttributeError, AssertionError):
        return []
    return [
        names
        for names in groups.values()
        if not any(name.startswith(f"{classifier}.") for name in names)
    ]


def _pretrained(name: str, config: PretrainedCfg, num_classes: int) -> nn.Module:
    if "." not in name:
        raise ltcore.SpecError(
            f"backbone.model: {name!r} names no weights, and which ones timm takes then changes "
            f"with its version. Known: {_tags(name)}. Choose one, or set weights to null."
        )
    if config.hf_hub_id:
        file = hugging_face_file(config.hf_hub_id)
    elif isinstance(config.url, str) and config.url:
        file = torch_hub_file(config.url)
    else:
        raise ltcore.SpecError(
            f"backbone.model: timm has no weights for {name!r}. Known: "
            f"{_tags(name.partition('.')[0])}. Choose one, or set weights to null."
        )
    try:
        return timm.create_model(
            name,
            pretrained=True,
            pretrained_cfg_overlay={"file": file, "custom_load": False},
            num_classes=num_classes,
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ltcore.SurroundingsError(
            f"backbone.weights: {file} cannot be loaded into {name} ({error}). Delete it, and it "
            "is downloaded again."
        ) from error


def _tags(architecture: str) -> str:
    names = timm.list_pretrained(f"{architecture}.*")
    return (", ".join(names[:_SHOWN]) or "none") + (", ..." if len(names) > _SHOWN else "")
