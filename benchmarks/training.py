"""An epoch of ltcore's loop against the bare loop, and against a DataLoader of Pillow images.

A ratio is another loop's time over ltcore's: at 1 ltcore is as fast, above 1 faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks.comparison import Comparison, Options, Ratio
from benchmarks.loops import LtcoreLoop, bare_loop
from benchmarks.peers import LightningLoop, lightning_module, loader_loop, timm_loop
from benchmarks.task import Task
from benchmarks.timing import CORES, threads

STUDY = ("resnet50", "convnext_base", "vit_b_16")
LONG_TAIL, EPOCHS = 10_847, 200  # images of CIFAR-100-LT, and how often the literature sees them


def comparisons(options: Options) -> Iterator[Comparison]:
    """Each model in each precision that the device computes in."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with threads(1 if options.quick else CORES):
        for task in tasks(options, device):
            yield comparison(task)
            if has_bfloat16(device):
                yield comparison(replace(task, precision="bf16"))
            else:
                reason = "bf16 not measured: this processor has no instructions for it"
                yield Comparison(title(task), notes=[reason])


def tasks(options: Options, device: torch.device) -> Iterator[Task]:
    """A small model of small images, a mobile one of large images, and those asked for."""
    if options.quick:
        yield Task("resnet32", 32, batch_size=4, steps=2, device=device)
        return
    yield Task("resnet32", 32, batch_size=128, steps=6, device=device)
    for backbone in ("mobilenet_v2", *options.models):
        yield Task(backbone, 224, batch_size=16, steps=3, device=device)


def comparison(task: Task) -> Comparison:
    """The loops that there are for a task."""
    loops: dict[str, Callable[[], float]] = {
        "ltcore": LtcoreLoop(task),
        "bare loop": bare_loop(task, torch.channels_last),
        "bare loop, NCHW": bare_loop(task, torch.contiguous_format),
        "DataLoader": loader_loop(task),
    }
    if task.device.type == "cuda":
        loops["ltcore, CUDA graphs"] = LtcoreLoop(task, cuda_graphs=True)
    notes = []
    if find_spec("timm"):
        loops["timm's loader"] = timm_loop(task)
    else:
        notes.append("timm is not installed")
    lightning = lightning_module()
    if lightning:
        loops["Lightning"] = LightningLoop(task, lightning)
    else:
        notes.append("Lightning is not installed")
    targets = {"bare loop": 0.97, "DataLoader": 1.3}
    ratios = [Ratio(name, "ltcore", at_least=targets.get(name)) for name in loops]

    def speed(medians: Mapping[str, float]) -> str:
        images = task.batch_size * task.steps / medians["ltcore"]
        hours = EPOCHS * LONG_TAIL / images / 3600
        return (
            f"ltcore trains {images:,.0f} images a second; {EPOCHS} epochs of {LONG_TAIL:,} images "
            f"would take {hours:.1f} hours (extrapolated, not run)"
        )

    return Comparison(title(task), loops, ratios[1:], notes=notes, remark=speed)


def title(task: Task) -> str:
    """What is trained, and how."""
    return f"{task.backbone}, {task.size} px, {task.precision}, batch {task.batch_size}"


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16; without them it is emulated, slowly."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    flags = Path("/proc/cpuinfo")
    return flags.exists() and "bf16" in flags.read_text(encoding="utf-8")
