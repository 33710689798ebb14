"""What listeners are told of a run while it goes on: plain values that they cannot change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunInfo:
    """A run before its first epoch.

    Attributes:
        name: the run's name, that of its results file.
        out: the folder that the results file will lie in.
        epochs: how many epochs it trains.
        train_images, val_images, test_images: the sizes of the splits.
        num_classes: K.
        parameters: of the model, trainable and frozen.
        device: as torch writes it.
        ranks: how many processes train together.
        epoch, step: where training begins, from 0; further on in a run that was interrupted.
    """

    name: str
    out: Path
    epochs: int
    train_images: int
    val_images: int
    test_images: int
    num_classes: int
    parameters: int
    device: str
    epoch: int = 0
    step: int = 0
    ranks: int = 1


@dataclass(frozen=True)
class EpochRow:
    """One epoch of the history.

    Attributes:
        epoch: from 0.
        lr: the learning rate of its steps.
        train_loss: the criterion's mean over the epoch's images.
        train_top1: share of the augmented training images that the training forward pass got right.
        val_loss: plain cross-entropy of the validation logits, whatever the criterion.
        val_top1: share of the validation images that are right.
        seconds: wall time of training and validation.
    """

    epoch: int
    lr: float
    train_loss: float
    train_top1: float
    val_loss: float
    val_top1: float
    seconds: float
