"""A small run to be interrupted: augmented images, dropout, batch norm, a loss that draws, DRW.

It runs in processes that are forked from one that has run it before, so that each starts at once;
what they leave on disk is all that they share.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, ClassVar

import ltcore

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


class Plugin:
    """Offers the backbone."""

    @ltcore.hookimpl
    def ltcore_register_backbones(self) -> list[type[ltcore.Backbone]]:
        return [SmallNet]


def run(out: Path, spec: Mapping[str, Any] = SPEC, **options: bool) -> ltcore.Results:
    """Run in this process."""
    return ltcore.run(dict(spec), out=out, plugins=[Plugin()], **options)


def _run_quietly(out: Path, spec: Mapping[str, Any]) -> None:
    import torch

    torch.set_num_threads(1)
    run(out, spec)


def processes() -> Any:
    """Processes that are forked from one that has run the run before."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.warm_run"])
    return context


def start(out: Path, spec: Mapping[str, Any] = SPEC) -> BaseProcess:
    """Start the run in a process of its own."""
    process: BaseProcess = processes().Process(target=_run_quietly, args=(out, dict(spec)))
    process.start()
    return process


def killed_after(out: Path, seconds: float, spec: Mapping[str, Any] = SPEC) -> bool:
    """Start the run and kill it after a while; whether it had not ended by itself before."""
    process = start(out, spec)
    process.join(seconds)
    alive = process.is_alive()
    if alive and process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return alive


def seconds_of_a_run(out: Path, spec: Mapping[str, Any] = SPEC) -> float:
    """How long the run takes unbroken, in a process of its own."""
    begun = time.monotonic()
    assert not killed_after(out, 120, spec)
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
