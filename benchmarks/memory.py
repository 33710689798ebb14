"""The most memory that a run takes, over what any training must hold."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import ltcore
from benchmarks.comparison import Comparison, Options, Ratio
from benchmarks.processes import COMMAND, peak_bytes
from benchmarks.timing import CORES, threads

# torch, what of ltcore a run needs, and what PyTorch's optimisers import when one is made
IMPORTS = "import ltcore.cli.run, ltcore.running.engine, torch._dynamo; ltcore.load_plugins()"
BARE_LOOP = """
import sys, torch
from benchmarks.loops import bare_loop
from benchmarks.task import Task
backbone, (size, batch, classes) = sys.argv[1], map(int, sys.argv[2:])
task = Task(backbone, size, batch, steps=4, device=torch.device("cpu"), classes=classes)
bare_loop(task, torch.channels_last)()
"""
CLASSES = 10


@dataclass(frozen=True)
class Case:
    """A run of one epoch whose memory is looked at.

    Attributes:
        backbone: its name in ltcore, trained from scratch.
        size: pixels a side.
        batch_size: of training and evaluation.
        per_class: training images of each class.
        at_most: what is wanted of its peak over what it must hold.
    """

    backbone: str
    size: int
    batch_size: int
    per_class: int
    at_most: float | None = None

    def spec(self) -> dict[str, Any]:
        """What ltcore runs."""
        weights = {} if self.backbone == "resnet32" else {"weights": None}
        size = self.batch_size
        return {
            "dataset": {"name": "synthetic", "classes": CLASSES, "per_class": self.per_class},
            "transform": {"size": self.size},
            "backbone": {"name": self.backbone, **weights},
            "loss": "cross_entropy",
            "name": "run",
            "training": {
                "epochs": 1,
                "batch_size": size,
                "eval_batch_size": size,
                "device": "cpu",
            },
        }


def comparisons(options: Options) -> Iterator[Comparison]:
    """Runs in processes of their own, without what Python and its imports take."""
    if not Path("/proc/self/status").exists():
        yield Comparison("peak of a run", notes=["not measured: this system does not tell"])
        return
    yield comparison(Case("resnet32", 32, 16 if options.quick else 128, 200, at_most=1.3))
    if not options.quick:  # most of it weights, the optimiser's state and the best epoch's weights
        yield comparison(Case("resnet50", 64, 16, 10))


def comparison(case: Case) -> Comparison:
    """A run and a bare loop against what any training must hold."""
    needed = float(needed_bytes(case))
    sizes = (case.backbone, *map(str, (case.size, case.batch_size, CLASSES)))

    def beyond_imports(code: str, *arguments: str) -> float:
        return peak_bytes(code, *arguments) - peak_bytes(IMPORTS)

    def run() -> float:
        with tempfile.TemporaryDirectory() as name, threads(CORES):
            path = Path(name, "spec.json")
            path.write_text(json.dumps(case.spec()), encoding="utf-8")
            return beyond_imports(COMMAND, "run", str(path), "--out", name)

    def bare_loop() -> float:
        with threads(CORES):
            return beyond_imports(BARE_LOOP, *sizes)

    return Comparison(
        f"peak of a run, {case.backbone}, {case.size} px, batch {case.batch_size}",
        {"ltcore": run, "bare loop": bare_loop, "what it must hold": lambda: needed},
        [Ratio("ltcore", "what it must hold", at_most=case.at_most), Ratio("ltcore", "bare loop")],
        unit="bytes",
        warm_up=False,
        remark=lambda medians: ", ".join(
            f"{name} {value / 2**20:.0f} MiB" for name, value in medians.items()
        ),
    )


def needed_bytes(case: Case) -> int:
    """Images of all splits, model, optimiser state, and a batch with what backward needs of it."""
    spec = case.spec()
    splits = ltcore.load_dataset(spec["dataset"])
    model = ltcore.build_backbone(spec["backbone"], num_classes=len(splits.classes)).train()
    model = model.to(memory_format=torch.channels_last)
    parameters = list(model.parameters())
    optimizer = torch.optim.Adam(parameters)
    images = torch.zeros(case.batch_size, 3, case.size, case.size)
    images = images.contiguous(memory_format=torch.channels_last)
    kept = {part.data_ptr(): part.nbytes for part in parameters}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = F.cross_entropy(model(images), torch.zeros(len(images), dtype=torch.int64))
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    state = [value for entry in optimizer.state.values() for value in entry.values()]
    parts = (splits.train.images, splits.val.images, splits.test.images)
    data = sum(images.nbytes for images in parts if isinstance(images, np.ndarray))
    return int(data + sum(kept.values()) + sum(value.nbytes for value in state))
