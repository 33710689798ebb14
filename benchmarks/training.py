"""An epoch of ltcore's loop against the bare loop, and against a DataLoader of Pillow images.

A ratio is another loop's time over ltcore's: at 1 ltcore is as fast, above 1 faster. Each loop has
a process of its own, and ltcore's keeps its memory as that of `ltcore run` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from importlib.util import find_spec

import torch

from benchmarks.comparison import Comparison, Options, Ratio
from benchmarks.contenders import Build, in_processes
from benchmarks.loops import InputAlone, LtcoreLoop, OwnWork, bare_loop
from benchmarks.peers import LightningLoop, lightning_module, loader_loop, timm_loop
from benchmarks.task import Task
from benchmarks.timing import CORES, threads
from ltcore.running.devices import emulates

STUDY = ("resnet50", "convnext_base", "vit_b_16")
OWN_WORK = "what ltcore adds"
INPUT = "ltcore's images alone"
TURNS = {"resnet32": (2, 12), "mobilenet_v2": (1, 6)}  # steps of a turn, turns of a round
LONG_TAIL, EPOCHS = 10_847, 200  # images of CIFAR-100-LT, and how often the literature sees them


def comparisons(options: Options) -> Iterator[Comparison]:
    """Each model in each precision that the device computes in."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with threads(1 if options.quick else CORES):
        for task in tasks(options, device):
            yield from both_comparisons(task)
            if options.quick:
                continue
            if emulates(device, "bf16"):
                reason = f"bf16 not measured: this {device.type.upper()} emulates it"
                yield Comparison(title(task), notes=[reason])
            else:
                yield from both_comparisons(replace(task, precision="bf16"))


def tasks(options: Options, device: torch.device) -> Iterator[Task]:
    """A small model of small images, a mobile one of large images, and those asked for."""
    if options.quick:
        yield Task("resnet32", 32, batch_size=4, steps=2, device=device)
        return
    on_gpu = device.type == "cuda"
    yield Task("resnet32", 32, batch_size=128, steps=80 if on_gpu else 6, device=device)
    mobile, large = ((128, 20), (128, 20)) if on_gpu else ((16, 3), (8, 2))
    yield Task("mobilenet_v2", 224, *mobile, device=device)
    for backbone in options.models:
        yield Task(backbone, 224, *large, device=device)


def both_comparisons(task: Task) -> Iterator[Comparison]:
    """With loops over tensors that lie ready; of a small model, with those that load images too."""
    yield from against_bare_loops(task)
    if task.backbone not in STUDY:
        yield from against_loaders(task)


def against_bare_loops(task: Task) -> Iterator[Comparison]:
    """With loops over tensors that lie ready: model, loss, backward pass and optimiser alone.

    On the CPU they take short turns, and many: a few per cent are to be seen on a machine whose
    speed changes by more from one second to the next.
    """
    repeats = 1
    if task.device.type == "cpu":
        steps, repeats = TURNS.get(task.backbone, (1, 3))
        task = replace(task, steps=steps)
    loops: dict[str, Build] = {
        "ltcore": partial(LtcoreLoop, task),
        "bare loop": partial(bare_loop, task, torch.channels_last),
        "bare loop, tuned": partial(bare_loop, task, torch.channels_last, tuned=True),
        INPUT: partial(InputAlone, task),
    }
    ratios = [
        Ratio("bare loop", "ltcore", at_least=0.97),
        Ratio("bare loop, tuned", "ltcore", at_least=0.97),
        Ratio(INPUT, "ltcore"),
    ]
    if task.device.type == "cuda":
        loops["ltcore, CUDA graphs"] = partial(LtcoreLoop, task, cuda_graphs=True)
        ratios.append(Ratio("ltcore, CUDA graphs", "ltcore"))
    else:
        loops[OWN_WORK] = partial(OwnWork, task)
        ratios.append(Ratio(OWN_WORK, "bare loop", at_most=0.03))

    def speed(medians: Mapping[str, float]) -> str:
        images = task.batch_size * task.steps / medians["ltcore"]
        hours = EPOCHS * LONG_TAIL / images / 3600
        return (
            f"ltcore trains {images:,.0f} images a second; {EPOCHS} epochs of {LONG_TAIL:,} images "
            f"would take {hours:.1f} hours (extrapolated, not run)"
        )

    with in_processes(loops) as contenders:
        yield Comparison(title(task), contenders, ratios, repeats=repeats, remark=speed)


def against_loaders(task: Task) -> Iterator[Comparison]:
    """The loops of the peers, which load an image at a time, and the usual layout in memory."""
    loops: dict[str, Build] = {
        "ltcore": partial(LtcoreLoop, task),
        "bare loop, NCHW": partial(bare_loop, task, torch.contiguous_format),
        "DataLoader": partial(loader_loop, task),
    }
    targets = {}
    if task.precision == "fp32":
        targets["DataLoader"] = 1.3
    else:
        loops["DataLoader, fp32"] = partial(loader_loop, replace(task, precision="fp32"))
        if task.backbone == "resnet32":  # a mobile network's convolutions gain little from bf16
            targets["DataLoader, fp32"] = 2.0
    notes = []
    if find_spec("timm"):
        loops["timm's loader"] = partial(timm_loop, task)
    else:
        notes.append("timm is not installed")
    if lightning_module():
        loops["Lightning"] = partial(LightningLoop, task)
    else:
        notes.append("Lightning is not installed")
    ratios = [Ratio(name, "ltcore", at_least=targets.get(name)) for name in loops][1:]
    with in_processes(loops) as contenders:
        yield Comparison(title(task), contenders, ratios, notes=notes)


def title(task: Task) -> str:
    """What is trained, and how."""
    return f"{task.backbone}, {task.size} px, {task.precision}, batch {task.batch_size}"
