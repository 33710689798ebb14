"""The loop: epochs of steps, a validation after each, and the weights of the best epoch.

What must survive an interruption stands in :class:`TrainingState` and nowhere else: every random
number is a function of seed, epoch and step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ltcore.components import Seeds
from ltcore.errors import NonFiniteError
from ltcore.progress import EpochRow
from ltcore.running.batches import Batches
from ltcore.running.checking import check_logits, check_loss_value
from ltcore.running.devices import autocast
from ltcore.running.losses import PerSampleLoss
from ltcore.running.optimization import learning_rate
from ltcore.running.prediction import predict, score
from ltcore.running.randomness import Purpose, step_seed
from ltcore.spec import Training


@dataclass(frozen=True)
class BestEpoch:
    """An epoch, its validation top-1, and the model's state dict after it."""

    epoch: int
    val_top1: float
    weights: dict[str, Tensor]


@dataclass
class TrainingState:
    """Everything that changes while a run trains.

    Attributes:
        model, optimizer, scaler: PyTorch's own, with state dicts.
        epoch: the next one to train, from 0.
        history: a row for each finished epoch.
        best: the epoch with the highest validation top-1 so far, the earlier one at a tie.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    epoch: int = 0
    history: list[EpochRow] = field(default_factory=list)
    best: BestEpoch | None = None

    def finish_epoch(self, row: EpochRow) -> None:
        """Append a row, and keep the weights where its validation top-1 is the highest yet."""
        if self.best is None or row.val_top1 > self.best.val_top1:
            weights = self.model.state_dict().items()
            copies = {name: value.detach().clone() for name, value in weights}
            self.best = BestEpoch(row.epoch, row.val_top1, copies)
        self.history.append(row)
        self.epoch = row.epoch + 1

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values: what :meth:`load_state_dict` restores."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "epoch": self.epoch,
            "history": [asdict(row) for row in self.history],
            "best": None if self.best is None else vars(self.best),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.epoch = state["epoch"]
        self.history = [EpochRow(**row) for row in state["history"]]
        self.best = None if state["best"] is None else BestEpoch(**state["best"])


def train(
    state: TrainingState,
    criterion: nn.Module,
    train_batches: Batches,
    val_batches: Batches,
    *,
    settings: Training,
    seeds: Seeds,
    after_epoch: Callable[[EpochRow], None],
) -> None:
    """Train from the state's epoch to the last.

    Args:
        state: where training stands; changed in place.
        criterion: (logits (N, K), labels (N,)) -> scalar, on the device.
        train_batches: the images to learn from.
        val_batches: the images that choose the best epoch.
        settings: epochs, learning rate and precision.
        seeds: ``init`` drives dropout and the loss's draws.
        after_epoch: called with each epoch's row.

    Raises:
        NonFiniteError: a loss, gradient or logit became NaN or infinite.
        PluginError: model or criterion gave something of the wrong form.
    """
    device = train_batches.labels.device
    generator = torch.Generator(device)
    for module in criterion.modules():
        if isinstance(module, PerSampleLoss):
            module.generator = generator
    while state.epoch < settings.epochs:
        begun = time.monotonic()
        epoch, lr = state.epoch, learning_rate(settings, state.epoch)
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        for module in criterion.modules():
            if isinstance(module, PerSampleLoss):
                module.start_epoch(epoch)
        sums = _train_epoch(state, criterion, train_batches, settings, seeds.init, generator)
        train_loss, train_top1 = sums.read(epoch, lr)
        logits = predict(state.model, val_batches, settings.precision)
        val_loss, val_top1 = score(logits, val_batches.labels)
        if not torch.isfinite(logits).all():
            raise NonFiniteError(
                f"epoch {epoch}: a validation logit is NaN or infinite (learning rate {lr:g}). "
                "Lower training.optimizer.lr, add warm-up, or use fp32."
            )
        seconds = time.monotonic() - begun
        row = EpochRow(epoch, lr, train_loss, train_top1, val_loss, val_top1, seconds)
        state.finish_epoch(row)
        after_epoch(row)


def _train_epoch(
    state: TrainingState,
    criterion: nn.Module,
    batches: Batches,
    settings: Training,
    seed: int,
    generator: torch.Generator,
) -> _EpochSums:
    model, optimizer, scaler = state.model.train(), state.optimizer, state.scaler
    criterion.train()
    sums = _EpochSums(batches.labels.device)
    for step, (images, labels) in enumerate(batches.training(state.epoch)):
        torch.manual_seed(step_seed(seed, state.epoch, step, Purpose.MODEL))
        generator.manual_seed(step_seed(seed, state.epoch, step, Purpose.LOSS))
        with autocast(images.device, settings.precision):
            logits = model(images)
        check_logits(logits, labels, state.epoch, step)
        loss = criterion(logits, labels)
        check_loss_value(loss, state.epoch, step)
        scaler.scale(loss).backward()
        sums.add(step, loss.detach(), logits.detach(), labels, _gradients(model, scaler))
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
    return sums


def _gradients(model: nn.Module, scaler: torch.amp.GradScaler) -> list[Tensor]:
    """The gradients, to be checked; none in fp16, where an overflow is the scaler's to mend."""
    if scaler.is_enabled():
        return []
    return [p.grad for p in model.parameters() if p.grad is not None]


class _EpochSums:
    """Running sums of one epoch, on the device: nothing is read before the epoch's end."""

    def __init__(self, device: torch.device) -> None:
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)
        self.first_bad_step = torch.full((), -1, dtype=torch.int64, device=device)
        self.images = 0

    def add(
        self, step: int, loss: Tensor, logits: Tensor, labels: Tensor, gradients: list[Tensor]
    ) -> None:
        finite = torch.isfinite(loss) & torch.isfinite(logits).all()
        if gradients:
            finite &= torch.isfinite(torch.nn.utils.get_total_norm(gradients))
        bad = ~finite & (self.first_bad_step < 0)
        self.first_bad_step = torch.where(bad, step, self.first_bad_step)
        self.loss += loss.double() * len(labels)
        self.correct += (logits.argmax(dim=1) == labels).sum()
        self.images += len(labels)

    def read(self, epoch: int, lr: float) -> tuple[float, float]:
        """Mean loss and top-1 of the epoch.

        Raises:
            NonFiniteError: some step's loss, gradient or logits were not finite.
        """
        if int(self.first_bad_step) >= 0:
            raise NonFiniteError(
                f"epoch {epoch}, step {int(self.first_bad_step)}: the loss, a gradient or a logit "
                f"became NaN or infinite (learning rate {lr:g}). Lower training.optimizer.lr, add "
                "warm-up, or use fp32."
            )
        return float(self.loss) / self.images, float(self.correct) / self.images
