"""How time and memory grow: with a report's files, a task's images and classes, and the ranks."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

import ltcore
from benchmarks.comparison import Comparison, Options, Ratio
from benchmarks.contenders import in_processes
from benchmarks.loops import LtcoreLoop
from benchmarks.processes import COMMAND, peak_bytes, process_seconds, run
from benchmarks.results_files import write_study
from benchmarks.task import Task
from benchmarks.timing import CORES, threads


def comparisons(options: Options) -> Iterator[Comparison]:
    """Files, then images, then classes, then ranks."""
    with threads(1):
        yield from files(*((2, 4) if options.quick else (56, 1000)))
    with threads(1 if options.quick else CORES):
        yield from images(options)
        yield from classes(options)
    yield ranks(options)


def files(few: int, many: int) -> Iterator[Comparison]:
    """The report on files of 1,000 test images: seconds a file, and peak memory."""
    with tempfile.TemporaryDirectory() as name:
        paths = write_study(Path(name), many, per_class=10)

        def timed(count: int) -> Callable[[], float]:
            return lambda: process_seconds("-m", "ltcore", "report", *paths[:count]) / count

        def peak(count: int) -> Callable[[], float]:
            return lambda: peak_bytes(COMMAND, "report", *paths[:count])

        for what, of, unit, at_most in (
            ("report, time of a file", timed, "s", 1.0),
            ("report, peak memory", peak, "bytes", 1.2),
        ):
            contenders = {f"{count:,} files": of(count) for count in (few, many)}
            ratio = Ratio(f"{many:,} files", f"{few:,} files", at_most=at_most)
            yield Comparison(what, contenders, [ratio], unit=unit, warm_up=False)


def images(options: Options) -> Iterator[Comparison]:
    """ResNet-32: seconds an image, of an epoch of few images and of one of many."""
    batch_size, few, many = (4, 1, 2) if options.quick else (128, 4, 32)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def of(steps: int) -> str:
        return f"{steps * batch_size:,} images"

    loops = {
        of(steps): partial(SecondsAnImage, Task("resnet32", 32, batch_size, steps, device))
        for steps in (few, many)
    }
    with in_processes(loops) as contenders:
        yield Comparison("time of an image", contenders, [Ratio(of(many), of(few))])


class SecondsAnImage(LtcoreLoop):
    """An epoch of ltcore's loop; gives its seconds over its images."""

    def __call__(self) -> float:
        return super().__call__() / (self.task.steps * self.task.batch_size)


def classes(options: Options) -> Iterator[Comparison]:
    """An epoch of ResNet-32 with more and more classes."""
    batch_size, steps = (4, 2) if options.quick else (128, 4)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loops = {
        f"{k:,} classes": partial(
            LtcoreLoop, Task("resnet32", 32, batch_size, steps, device, classes=k)
        )
        for k in (10, 100, 1000)
    }
    ratios = [Ratio(name, "10 classes") for name in loops if name != "10 classes"]
    with in_processes(loops) as contenders:
        yield Comparison("epoch of resnet32", contenders, ratios)


def ranks(options: Options) -> Comparison:
    """The second epoch of a run whose cores are one rank's, or shared by two; on the CPU."""
    spec = {
        "dataset": {"name": "synthetic", "per_class": 4 if options.quick else 400},
        "backbone": "resnet32",
        "loss": "cross_entropy",
        "name": "run",
        "training": {"epochs": 2, "batch_size": 4 if options.quick else 128, "device": "cpu"},
    }

    def second_epoch(number: int) -> float:
        with tempfile.TemporaryDirectory() as folder, threads(max(1, 2 // number)):
            path = Path(folder, "spec.json")
            path.write_text(json.dumps(spec), encoding="utf-8")
            run("-m", "ltcore", "run", str(path), "--out", folder, "--nproc", str(number))
            history = ltcore.read_results(Path(folder, "run.h5")).history
        return float(history["seconds"][-1])

    one, two = "one rank, two threads", "two ranks, a thread each"
    contenders = {one: lambda: second_epoch(1), two: lambda: second_epoch(2)}
    return Comparison(
        "epoch on the CPU", contenders, [Ratio(one, two, at_least=0.9)], warm_up=False
    )
