"""Model and criterion from their declarations, checked before the first step."""

from __future__ import annotations

import warnings
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ltcore.components import Head, Loss
from ltcore.errors import LtcoreError, LtcoreWarning, PluginError, SpecError
from ltcore.outcome import ResolvedSpec
from ltcore.ranks import Rank
from ltcore.running.checking import blame, refuse_what_is_not_deterministic
from ltcore.running.devices import autocast
from ltcore.running.losses import DeferredReweighting, PerSampleLoss
from ltcore.splits import Classes, Splits


def build_model(resolved: ResolvedSpec, num_classes: int) -> nn.Module:
    """The model that a spec describes, its head settled between backbone and loss."""
    backbone, loss = resolved.backbone, resolved.loss
    head: Head = loss.head if backbone.head == "auto" else backbone.head
    if loss.head == "cosine" and head == "linear":
        warnings.warn(
            f"the loss {loss.name!r} is made for a cosine head and gets a linear one; set "
            "backbone.head to 'auto' or 'cosine' unless this is what you compare",
            LtcoreWarning,
            stacklevel=2,
        )
    with blame(f"the backbone {backbone.name!r}"):
        model = backbone.build(num_classes, head)
    if not isinstance(model, nn.Module):
        raise PluginError(f"the backbone {backbone.name!r} built {model!r}, not an nn.Module")
    return model.to(memory_format=torch.channels_last)


def build_criterion(loss: Loss, classes: Classes) -> nn.Module:
    """The criterion that a loss declares, with deferred re-weighting where it asks for that."""
    with blame(f"the loss {loss.name!r}"):
        criterion = loss.build(classes)
    if not isinstance(criterion, nn.Module):
        raise PluginError(f"the loss {loss.name!r} built {criterion!r}, not an nn.Module")
    if loss.drw is None:
        return criterion
    if not isinstance(criterion, PerSampleLoss):
        raise SpecError(
            f"loss.drw: {loss.name!r} gives no per-sample values to weight (it does not derive "
            "from ltcore.PerSampleLoss). Remove drw, or choose another loss."
        )
    weights = classes.class_balanced_weights(loss.drw.beta)
    return DeferredReweighting(criterion, weights, start_epoch=loss.drw.start_epoch)


def check_batch_size(batch_size: int, splits: Splits, ranks: int) -> None:
    """Refuse a batch that is larger than the training set, or has no image for some rank."""
    n = len(splits.train)
    if batch_size < ranks:
        raise SpecError(
            f"training.batch_size: {batch_size} is less than the {ranks} ranks that share a batch; "
            "choose more, or start fewer ranks"
        )
    if batch_size > n:
        raise SpecError(
            f"training.batch_size: {batch_size} is more than the {n} training images; "
            f"choose at most {n}"
        )


def synchronize_batch_norm(model: nn.Module, device: torch.device, rank: Rank) -> nn.Module:
    """The model with batch norm over the batch of all ranks.

    Raises:
        SpecError: the device is not CUDA; PyTorch synchronises no other.
    """
    if device.type != "cuda":
        raise SpecError(
            "training.sync_batch_norm: batch norm is synchronised on CUDA alone, and this run "
            f"computes on {device}. Set it to false."
        )
    if rank.alone:
        return model
    synchronized: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return synchronized


def batch_norm_scope(model: nn.Module, rank: Rank) -> Literal["batch", "rank"] | None:
    """Over what batch norm took its statistics: the whole batch, or each rank's share of it."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return None
    synchronized = all(isinstance(module, nn.SyncBatchNorm) for module in norms)
    return "batch" if rank.alone or synchronized else "rank"


@torch.inference_mode()
def check_model(
    model: nn.Module, resolved: ResolvedSpec, num_classes: int, device: torch.device
) -> Tensor:
    """Send two empty images through the model, so that a size it does not take is refused early.

    Returns:
        The images.
    """
    size = resolved.spec.transform.size
    with torch.inference_mode(False):  # a training step may take them too
        images = torch.zeros(2, 3, size or 1, size or 1, device=device)
    try:
        with autocast(device, resolved.spec.training.precision):
            logits = model.eval()(images)
    except (torch.OutOfMemoryError, LtcoreError):  # a stop, say
        raise
    except Exception as error:
        refuse_what_is_not_deterministic(error, resolved.described("backbone"))
        raise SpecError(
            f"transform.size: the backbone {resolved.backbone.name!r} does not take images of "
            f"{size} pixels ({type(error).__name__}: {error}). Its own size is "
            f"{resolved.backbone.input_size}."
        ) from error
    shape = tuple(getattr(logits, "shape", ()))
    if shape != (2, num_classes):
        raise PluginError(
            f"the backbone {resolved.backbone.name!r} gave {shape or type(logits).__name__} for 2 "
            f"images and {num_classes} classes; it must give logits of shape (2, {num_classes})"
        )
    return images


def trained_prior(loss: Loss) -> Literal["train", "uniform"]:
    """The class prior that the logits are right for; deferred re-weighting makes it uniform."""
    return "uniform" if loss.drw is not None else loss.trained_prior
