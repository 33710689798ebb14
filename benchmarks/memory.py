"""The most memory that a run takes, over what any training must hold."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import partial
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
size, classes = map(int, sys.argv[1:])
task = Task("resnet32", 32, size, steps=4, device=torch.device("cpu"), classes=classes)
bare_loop(task, torch.channels_last)()
"""
CLASSES = 10
SPEC: dict[str, Any] = {
    "dataset": {"name": "synthetic", "classes": CLASSES},
    "backbone": "resnet32",
    "loss": "cross_entropy",
    "name": "run",
}


def comparisons(options: Options) -> Iterator[Comparison]:
    """ResNet-32 in a process of its own, without what Python and its imports take."""
    if not Path("/proc/self/status").exists():
        yield Comparison("peak of a run", notes=["not measured: this system does not tell"])
        return
    batch_size = 16 if options.quick else 128
    training = {"epochs": 1, "batch_size": batch_size, "eval_batch_size": batch_size}
    spec = SPEC | {"training": training | {"device": "cpu"}}
    with tempfile.TemporaryDirectory() as name, threads(CORES):
        path = Path(name, "spec.json")
        path.write_text(json.dumps(spec), encoding="utf-8")

        def beyond_imports(code: str, *arguments: str) -> float:
            return peak_bytes(code, *arguments) - peak_bytes(IMPORTS)

        needed = float(needed_bytes(batch_size))
        yield Comparison(
            "peak of a run",
            {
                "ltcore": partial(
                    beyond_imports, COMMAND, "run", str(path), "--out", name, "--force"
                ),
                "bare loop": partial(beyond_imports, BARE_LOOP, str(batch_size), str(CLASSES)),
                "what it must hold": lambda: needed,
            },
            [Ratio("ltcore", "what it must hold", at_most=1.3), Ratio("ltcore", "bare loop")],
            unit="bytes",
            warm_up=False,
            remark=lambda medians: ", ".join(
                f"{name} {value / 2**20:.0f} MiB" for name, value in medians.items()
            ),
        )


def needed_bytes(batch_size: int) -> int:
    """Images of all splits, model, optimiser state, and one batch with what backward needs of it.

    Args:
        batch_size: of the batch.
    """
    splits = ltcore.load_dataset(SPEC["dataset"])
    model = ltcore.build_backbone("resnet32", num_classes=len(splits.classes)).train()
    model = model.to(memory_format=torch.channels_last)
    parameters = list(model.parameters())
    optimizer = torch.optim.Adam(parameters)
    images = torch.zeros(batch_size, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    kept = {part.data_ptr(): part.nbytes for part in parameters}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = F.cross_entropy(model(images), torch.zeros(batch_size, dtype=torch.int64))
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    state = [value for entry in optimizer.state.values() for value in entry.values()]
    parts = (splits.train.images, splits.val.images, splits.test.images)
    data = sum(images.nbytes for images in parts if isinstance(images, np.ndarray))
    return int(data + sum(kept.values()) + sum(value.nbytes for value in state))
