"""What a GPU alone can show: a whole run's seconds, and whether a step waits for the device."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.comparison import Comparison, Options, Ratio
from benchmarks.loops import LtcoreLoop
from benchmarks.processes import process_seconds
from benchmarks.task import Task

RUN, LIMIT = "ltcore run", "a minute"
WAITS = ("cudaDeviceSynchronize", "cudaStreamSynchronize", "cudaEventSynchronize")


def comparisons(options: Options) -> Iterator[Comparison]:
    """The run of the literature, with images of its sizes; then the waits of an epoch."""
    cuda = torch.cuda.is_available()
    if not cuda and not options.quick:
        yield Comparison("whole run", notes=["not measured: there is no GPU here"])
        return
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "spec.json")
        path.write_text(json.dumps(spec(options, cuda=cuda)), encoding="utf-8")
        arguments = ("-m", "ltcore", "run", str(path), "--out", name, "--force")
        yield Comparison(
            "ResNet-32, 200 epochs of CIFAR-100-LT's size, bf16, each validated",
            {RUN: partial(process_seconds, *arguments), LIMIT: lambda: 60.0},
            [Ratio(RUN, LIMIT, at_most=1.0)],
            warm_up=False,
            remark=lambda medians: f"{medians[RUN]:.0f} s from the start of Python to its end",
        )
    for graphs in (False, True) if cuda else (False,):
        yield Comparison(
            "waits of an epoch" + graphs * ", CUDA graphs", notes=[waits(options, graphs=graphs)]
        )


def spec(options: Options, *, cuda: bool) -> dict[str, Any]:
    """Textures in the place of CIFAR-100-LT: 10,847 training and 10,000 validation images."""
    small = options.quick
    return {
        "name": "run",
        "dataset": {
            "name": "synthetic",
            "classes": 10 if small else 100,
            "per_class": 10 if small else 500,
            "imbalance_factor": 0.1 if small else 0.01,
            "val_per_class": 2 if small else 100,
            "test_per_class": 2 if small else 100,
        },
        "backbone": "resnet32",
        "loss": "cross_entropy",
        "training": {
            "epochs": 1 if small else 200,
            "batch_size": 4 if small else 128,
            "eval_batch_size": 4 if small else 2_500,
            "precision": "fp32" if small else "bf16",
            "cuda_graphs": cuda,
            "device": "cuda" if cuda else "cpu",
        },
    }


def waits(options: Options, *, graphs: bool) -> str:
    """How often an epoch's steps wait for the device, as PyTorch's profiler sees it."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch_size, steps = (4, 2) if options.quick else (128, 20)
    loop = LtcoreLoop(Task("resnet32", 32, batch_size, steps, device), cuda_graphs=graphs)
    loop()  # what is made once is made
    clock = seen_waits(lambda: (loop.task.now(), loop.task.now()), device)
    return f"{seen_waits(loop, device) - clock} in {steps} steps, beside those of the clock"


def seen_waits(action: Callable[[], object], device: torch.device) -> int:
    """How often PyTorch's profiler sees a call wait for CUDA."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as profiler:
        action()
    return sum(event.count for event in profiler.key_averages() if event.key in WAITS)
