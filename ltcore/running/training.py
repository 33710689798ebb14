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
from ltcore.ranks import Rank
from ltcore.running.batches import Batches
from ltcore.running.checking import check_logits, check_loss_value, has_non_finite
from ltcore.running.devices import autocast
from ltcore.running.exchange import gather_logits
from ltcore.running.group import Group
from ltcore.running.losses import PerSampleLoss
from ltcore.running.optimization import learning_rate
from ltcore.running.prediction import predict, score
from ltcore.running.randomness import Purpose, seed_generators, step_seed
from ltcore.spec import Training


@dataclass(frozen=True)
class BestEpoch:
    """An epoch, its validation top-1, and the model's state dict after it."""

    epoch: int
    val_top1: float
    weights: dict[str, Tensor]


class EpochSums:
    """Running sums of one epoch, on the device: nothing is read between its steps.

    Args:
        device: where the steps run.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        widest = torch.float32 if device.type == "mps" else torch.float64  # MPS has no wider one
        self.loss = torch.zeros((), dtype=widest, device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)
        self.first_bad_step = torch.full((), -1, dtype=torch.int64, device=device)
        self.images = 0

    def add(
        self, step: int, loss: Tensor, logits: Tensor, labels: Tensor, gradients: list[Tensor]
    ) -> None:
        """Add one step; what is not finite is noted with the first step that had it."""
        bad = ~(torch.isfinite(loss) & torch.isfinite(logits).all())
        if gradients:
            bad |= has_non_finite(gradients)
        first = bad & (self.first_bad_step < 0)
        self.first_bad_step = torch.where(first, step, self.first_bad_step)
        self.loss += loss.to(self.loss.dtype) * len(labels)
        self.correct += (logits.argmax(dim=1) == labels).sum()
        self.images += len(labels)

    def means(self) -> tuple[float, float]:
        """Mean loss and top-1 of the epoch's images."""
        return float(self.loss) / self.images, float(self.correct) / self.images

    def state_dict(self) -> dict[str, float]:
        """The sums as numbers; finite ones, or there is no checkpoint."""
        return {
            "loss": float(self.loss),
            "correct": int(self.correct),
            "images": self.images,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.loss.fill_(state["loss"])
        self.correct.fill_(state["correct"])
        self.images = state["images"]


@dataclass
class TrainingState:
    """Everything that changes while a run trains.

    Attributes:
        model, criterion, optimizer, scaler: PyTorch's own, with state dicts.
        sums: of the epoch's steps so far.
        epoch: the one that is being trained, from 0.
        step: the next one of the epoch, from 0.
        seconds: wall time of the epoch so far, in this process and those before.
        history: a row for each finished epoch.
        best: the epoch with the highest validation top-1 so far, the earlier one at a tie; None
            where the last one is tested.
    """

    model: nn.Module
    criterion: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    sums: EpochSums
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    history: list[EpochRow] = field(default_factory=list)
    best: BestEpoch | None = None

    def finish_epoch(self, row: EpochRow, *, keep_best: bool = True) -> None:
        """Append a row, and keep the weights where its validation top-1 is the highest yet.

        Args:
            row: of the epoch.
            keep_best: whether they are wanted; they take as much memory as the model.
        """
        if keep_best and (self.best is None or row.val_top1 > self.best.val_top1):
            weights = self.model.state_dict().items()
            copies = {name: value.detach().clone() for name, value in weights}
            self.best = BestEpoch(row.epoch, row.val_top1, copies)
        self.history.append(row)
        self.epoch, self.step, self.seconds = row.epoch + 1, 0, 0.0
        self.sums = EpochSums(self.sums.device)

    def refuse_non_finite(self) -> None:
        """Read what the steps of the epoch so far noted on the device.

        Raises:
            NonFiniteError: the loss, a gradient or a logit of a step was not finite, or what the
                optimizer keeps is not, as of a finite gradient whose square is none.
        """
        step, found = int(self.sums.first_bad_step), ""
        if step >= 0:
            found = f", step {step}: the loss, a gradient or a logit became NaN or infinite"
        elif self._optimizer_has_non_finite():
            found = ": the optimizer's state became infinite; the gradients are too large"
        if found:
            lr = self.optimizer.param_groups[0]["lr"]
            raise NonFiniteError(
                f"epoch {self.epoch}{found} (learning rate {lr:g}). Lower training.optimizer.lr, "
                "add warm-up, or use fp32."
            )

    def _optimizer_has_non_finite(self) -> bool:
        kept = [value for slots in self.optimizer.state.values() for value in slots.values()]
        kept = [value for value in kept if isinstance(value, Tensor) and value.is_floating_point()]
        return bool(kept) and bool(has_non_finite(kept))

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values: what :meth:`load_state_dict` restores."""
        return {
            "model": self.model.state_dict(),
            "criterion": self.criterion.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "sums": self.sums.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "history": [asdict(row) for row in self.history],
            "best": None if self.best is None else vars(self.best),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self.criterion.load_state_dict(state["criterion"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.sums.load_state_dict(state["sums"])
        self.epoch, self.step, self.seconds = state["epoch"], state["step"], state["seconds"]
        self.history = [EpochRow(**row) for row in state["history"]]
        self.best = None if state["best"] is None else BestEpoch(**state["best"])


def train(
    state: TrainingState,
    train_batches: Batches,
    val_batches: Batches,
    *,
    settings: Training,
    seeds: Seeds,
    group: Group,
    forward: nn.Module,
    between_steps: Callable[[TrainingState], None],
    save: Callable[[TrainingState], None],
    after_epoch: Callable[[EpochRow], None],
) -> None:
    """Train from the state's epoch and step to the last.

    Args:
        state: where training stands; changed in place.
        train_batches: the images to learn from.
        val_batches: the images that choose the best epoch.
        settings: epochs, learning rate and precision.
        seeds: ``init`` drives dropout and the loss's draws.
        group: the ranks that train together.
        forward: the state's model as a training step calls it; see :func:`parallel`.
        between_steps: called when the state is whole: after each step of training, before each
            batch of validation, and after each epoch. What it raises ends the training.
        save: called with the state at each epoch's end, before anybody is told of the epoch.
        after_epoch: called with each epoch's row.

    Raises:
        NonFiniteError: a loss, gradient or logit became NaN or infinite.
        PluginError: model or criterion gave something of the wrong form.
    """
    losses = [part for part in state.criterion.modules() if isinstance(part, PerSampleLoss)]
    generator = torch.Generator(train_batches.labels.device)
    for loss in losses:
        loss.generator = generator
    while state.epoch < settings.epochs:
        lr = learning_rate(settings, state.epoch)
        for parameters in state.optimizer.param_groups:
            parameters["lr"] = lr
        for loss in losses:
            loss.start_epoch(state.epoch)
        _train_epoch(
            state,
            train_batches,
            settings=settings,
            seed=seeds.init,
            rank=group.rank,
            forward=forward,
            generator=generator,
            between_steps=between_steps,
        )
        begun = time.monotonic()
        group.share_buffers(state.model)
        state.refuse_non_finite()
        train_loss, train_top1 = state.sums.means()
        logits = predict(
            state.model,
            val_batches,
            settings.precision,
            group.rank,
            before_batch=lambda: between_steps(state),
        )
        val_loss, val_top1 = score(logits, val_batches.labels)
        if not torch.isfinite(logits).all():
            raise NonFiniteError(
                f"epoch {state.epoch}: a validation logit is NaN or infinite (learning rate "
                f"{lr:g}). Lower training.optimizer.lr, add warm-up, or use fp32."
            )
        seconds = state.seconds + time.monotonic() - begun
        row = EpochRow(state.epoch, lr, train_loss, train_top1, val_loss, val_top1, seconds)
        state.finish_epoch(row, keep_best=settings.select != "last")
        save(state)
        after_epoch(row)
        between_steps(state)


def _train_epoch(
    state: TrainingState,
    batches: Batches,
    *,
    settings: Training,
    seed: int,
    rank: Rank,
    forward: nn.Module,
    generator: torch.Generator,
    between_steps: Callable[[TrainingState], None],
) -> None:
    state.model.train()
    criterion, optimizer, scaler = state.criterion.train(), state.optimizer, state.scaler
    device, begun, before = batches.labels.device, time.monotonic(), state.seconds
    for images, labels in batches.training(state.epoch, first=state.step):
        epoch, step = state.epoch, state.step
        seed_generators(device, step_seed(seed, epoch, step, Purpose.MODEL, rank.number))
        generator.manual_seed(step_seed(seed, epoch, step, Purpose.LOSS))
        with autocast(device, settings.precision):
            share = forward(images)
        check_logits(share, images, epoch, step)
        logits = gather_logits(share, len(labels), rank)
        # equally on all ranks
        seed_generators(device, step_seed(seed, epoch, step, Purpose.LOSS))
        loss = criterion(logits, labels)
        check_loss_value(loss, epoch, step)
        scaler.scale(loss).backward()
        # gradients have no name here: they would live on in the next step
        state.sums.add(step, loss.detach(), logits.detach(), labels, _gradients(optimizer, scaler))
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        state.step += 1
        state.seconds = before + time.monotonic() - begun
        between_steps(state)


def _gradients(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> list[Tensor]:
    """The gradients, to be checked; none in fp16, where an overflow is the scaler's to mend."""
    if scaler.is_enabled():
        return []
    groups = optimizer.param_groups
    return [p.grad for group in groups for p in group["params"] if p.grad is not None]
