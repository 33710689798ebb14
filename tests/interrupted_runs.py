"""A small run to be interrupted: augmented images, dropout, batch norm, a loss that draws, DRW.

With several ranks it is one process a rank.

It runs in processes that are forked from one that has run it before, so that each starts at once;
what they leave on disk is all that they share.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, ClassVar

import ltcore
from ltcore.ranks import Rank

SPEC: Mapping[str, Any] = {
    "name": "run",
    "dataset": {
        "name": "synthetic",
        "classes": 6,
        "per_class": 40,
        "imbalance_factor": 0.1,
        "val_per_class": 5,
        "test_per_class": 5,
        "size": 16,
    },
    "transform": {"size": 16},
    "backbone": "small_net",
    "loss": {"name": "equalization", "gamma": 0.5, "lambda": 0.3, "drw": {"start_epoch": 2}},
    "training": {
        "epochs": 4,
        "batch_size": 8,
        "eval_batch_size": 16,
        "device": "cpu",
        "checkpoint_minutes": 5e-4,
    },
}


class SmallNet(ltcore.Backbone):
    """A convolution with batch norm, dropout, and a head."""

    name: ClassVar[str] = "small_net"

    def build(self, num_classes: int, head: ltcore.components.Head) -> Any:
        from torch import nn

        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(392, num_classes)
            if head == "linear"
            else ltcore.CosineHead(392, num_classes),
        )


class PlainNet(ltcore.Backbone):
    """A convolution and a head: neither batch norm nor dropout."""

    name: ClassVar[str] = "plain_net"

    def build(self, num_classes: int, head: ltcore.components.Head) -> Any:
        from torch import nn

        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.GELU(), nn.Flatten(), nn.Linear(392, num_classes)
        )


class NoisyLoss(ltcore.Loss):
    """Cross-entropy of logits with noise from torch's global generator."""

    name: ClassVar[str] = "noisy"

    def build(self, classes: ltcore.Classes) -> Any:
        import torch
        from torch import nn

        class Noisy(nn.Module):
            def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
                return nn.functional.cross_entropy(logits + torch.randn_like(logits), labels)

        return Noisy()


class Plugin:
    """Offers the backbones and the loss."""

    @ltcore.hookimpl
    def ltcore_register_losses(self) -> list[type[ltcore.Loss]]:
        return [NoisyLoss]

    @ltcore.hookimpl
    def ltcore_register_backbones(self) -> list[type[ltcore.Backbone]]:
        return [SmallNet, PlainNet]


def run(out: Path, spec: Mapping[str, Any] = SPEC, **options: bool) -> ltcore.Results:
    """Run in this process."""
    return ltcore.run(dict(spec), out=out, plugins=[Plugin()], **options)


def _run_quietly(out: Path, spec: Mapping[str, Any], rank: Rank) -> None:
    import torch

    torch.set_num_threads(1)
    if not rank.alone:
        os.environ.update(rank.environment())
    run(out, spec)


def processes() -> Any:
    """Processes that are forked from one that has run the run before."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.warm_run"])
    return context


def ranks(number: int) -> list[Rank]:
    """So many ranks, who meet at a file of their own."""
    meeting = str(Path(tempfile.mkdtemp()) / "rendezvous")
    return [Rank(place, number, place, meeting) for place in range(number)]


def start(out: Path, spec: Mapping[str, Any] = SPEC, number: int = 1) -> list[BaseProcess]:
    """Start the run in processes of its own, one for each rank."""
    started: list[BaseProcess] = []
    for rank in ranks(number):
        started.append(processes().Process(target=_run_quietly, args=(out, dict(spec), rank)))
        started[-1].start()
    return started


def killed_after(
    out: Path, seconds: float, spec: Mapping[str, Any] = SPEC, number: int = 1
) -> bool:
    """Start the run and kill it after a while; whether it had not ended by itself before."""
    started = start(out, spec, number)
    started[0].join(seconds)
    if started[0].is_alive():
        for process in started:
            process.kill()  # which does nothing to one that has just ended
    for process in started:
        process.join()
    assert started[0].exitcode in (0, -signal.SIGKILL), started[0].exitcode
    return started[0].exitcode != 0


def seconds_of_a_run(out: Path, spec: Mapping[str, Any] = SPEC, number: int = 1) -> float:
    """How long the run takes unbroken, in processes of its own."""
    begun = time.monotonic()
    assert not killed_after(out, 120, spec, number)
    return time.monotonic() - begun


def what_is_left(out: Path) -> dict[str, bytes]:
    """The bytes of all that a run computes: logits, history but its seconds, weights."""
    results = ltcore.read_results(out / "run.h5")
    assert results.val is not None
    left = {
        "test": results.test.logits.tobytes(),
        "val": results.val.logits.tobytes(),
        "weights": (out / "run.safetensors").read_bytes(),
        "best_epoch": str(results.best_epoch).encode(),
    }
    history = results.history.items()
    return left | {name: column.tobytes() for name, column in history if name != "seconds"}
