"""One epoch of training as ltcore runs it, and as one writes it by hand.

Each class is a loop over a task's images with the task's weights; calling it trains an epoch and
gives its seconds.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ltcore
from benchmarks.task import Task
from ltcore.ranks import Rank
from ltcore.running.allocation import keeping_memory
from ltcore.running.building import build_criterion
from ltcore.running.devices import autocast
from ltcore.running.graphs import graphed
from ltcore.running.group import Group
from ltcore.running.optimization import build_optimizer
from ltcore.running.training import EpochSums, TrainingState, train


class _LastStep(Exception):  # noqa: N818
    """The epoch's steps are done; what follows is validation."""


def _do_nothing(_: object) -> None:
    """In the place of checkpoints and of what is told of an epoch."""


class LtcoreLoop:
    """ltcore's own loop, stopped after the last step of its first epoch.

    Args:
        task: what is trained.
        cuda_graphs: whether a training pass is launched at once.
    """

    def __init__(self, task: Task, *, cuda_graphs: bool = False) -> None:
        self.task, resolved = task, task.resolved()
        self.settings, self.seeds = resolved.spec.training, resolved.spec.resolved_seeds()
        counts = np.bincount(task.labels(), minlength=task.classes)
        groups = ltcore.protocol.class_groups(ltcore.protocol.ranks(counts))
        names = tuple(f"class {k}" for k in range(task.classes))
        self.batches, self.model = task.batches(), task.model()
        self.criterion = build_criterion(resolved.loss, ltcore.Classes(names, counts, groups))
        self.optimizer = build_optimizer(self.settings.optimizer, self.model.parameters())
        self.forward: nn.Module = self.model
        self.between_steps: Callable[[TrainingState], None] = self._stop_after_the_last
        if task.device.type == "cpu":
            self.between_steps = keeping_memory(self._stop_after_the_last, self.model.parameters())
        if cuda_graphs:
            self.forward = graphed(self.model, self.settings, task.size, task.device)

    def __call__(self) -> float:
        scaler = torch.amp.GradScaler(self.task.device.type, enabled=False)
        sums = EpochSums(self.task.device)
        state = TrainingState(self.model, self.criterion, self.optimizer, scaler, sums)
        begun = self.task.now()
        with contextlib.suppress(_LastStep):
            train(
                state,
                self.batches,
                self.batches,
                settings=self.settings,
                seeds=self.seeds,
                group=Group(Rank(), self.task.device),
                forward=self.forward,
                between_steps=self.between_steps,
                save=_do_nothing,
                after_epoch=_do_nothing,
            )
        return self.task.now() - begun

    def _stop_after_the_last(self, state: TrainingState) -> None:
        if state.step == self.task.steps:
            raise _LastStep


class OwnWork(LtcoreLoop):
    """An epoch of the same loop; gives its seconds outside model, backward pass and optimiser.

    On the CPU alone, where what is called is done when it returns. The loss is counted too, which a
    bare loop has as well.
    """

    def __call__(self) -> float:
        inside = 0.0

        def timed(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal inside
                begun = time.perf_counter()
                result = function(*arguments, **options)
                inside += time.perf_counter() - begun
                return result

            return call

        with (
            mock.patch.object(self.model, "forward", timed(self.model.forward)),
            mock.patch.object(Tensor, "backward", timed(Tensor.backward)),
            mock.patch.object(self.optimizer, "step", timed(self.optimizer.step)),
            mock.patch.object(self.optimizer, "zero_grad", timed(self.optimizer.zero_grad)),
        ):
            seconds = super().__call__()
        return seconds - inside


class InputAlone:
    """An epoch of ltcore's batches that nobody trains on.

    Args:
        task: whose images.
    """

    def __init__(self, task: Task) -> None:
        self.task, self.batches = task, task.batches()
        self.after_step: Callable[[Any], None] = _do_nothing
        if task.device.type == "cpu":
            self.after_step = keeping_memory(_do_nothing, ())

    def __call__(self) -> float:
        begun = self.task.now()
        for _ in self.batches.training(0):
            self.after_step(None)
        return self.task.now() - begun


class PlainLoop:
    """Forward, cross-entropy, backward, optimiser step.

    Args:
        task: what is trained.
        memory_format: of the model.
        batches: images (N, 3, H, W) float32 and labels (N,), gone through once a call.
        tuned: with the fused optimiser, and on the CPU with memory that is kept, as ltcore has
            them; else as one writes it by hand.
    """

    def __init__(
        self,
        task: Task,
        memory_format: torch.memory_format,
        batches: Iterable[tuple[Tensor, Tensor]],
        *,
        tuned: bool = False,
    ) -> None:
        self.task, self.batches, self.model = task, batches, task.model(memory_format)
        self.optimizer = torch.optim.Adam(self.model.parameters(), fused=tuned or None)
        self.after_step: Callable[[Any], None] = _do_nothing
        if tuned and task.device.type == "cpu":
            self.after_step = keeping_memory(_do_nothing, self.model.parameters())

    def __call__(self) -> float:
        device, begun = self.task.device, self.task.now()
        for images, labels in self.batches:
            images, labels = (part.to(device, non_blocking=True) for part in (images, labels))  # noqa: PLW2901
            with autocast(device, self.task.precision):
                logits = self.model(images)
            F.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.after_step(None)
        return self.task.now() - begun


def bare_loop(task: Task, memory_format: torch.memory_format, *, tuned: bool = False) -> PlainLoop:
    """The loop over tensors that lie ready on the device: augmented, floating, in its layout."""
    batches = [
        (images.contiguous(memory_format=memory_format), labels)
        for images, labels in task.batches().training(0)
    ]
    return PlainLoop(task, memory_format, batches, tuned=tuned)
