"""Rounds in which every contender is measured once, ratios within a round, and the machine.

What slows the machine down during a round slows all contenders of that round, so a ratio says more
than two times do. Raw values are kept; medians are taken when they are shown.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.comparison import Comparison

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Measurement:
    """A comparison with the values of its contenders, one a round."""

    comparison: Comparison
    values: Mapping[str, Sequence[float]]
    threads: int

    def rows(self) -> list[dict[str, Any]]:
        """One a ratio: its median over the rounds with an interval, and its target."""
        rows = []
        for ratio in self.comparison.ratios:
            pairs = zip(self.values[ratio.of], self.values[ratio.to], strict=True)
            found = [of / to for of, to in pairs]
            median = statistics.median(found)
            row: dict[str, Any] = {
                "name": self.comparison.name,
                "ratio": f"{ratio.of} / {ratio.to}",
            }
            low, high = interval_of_median(found)
            row |= {"median": median, "low": low, "high": high}
            row |= {"target": ratio.target(), "met": ratio.is_met(median)}
            rows.append(row)
        return rows

    def notes(self) -> list[str]:
        """What is to be said besides the ratios."""
        notes = [f"{self.comparison.name}: {note}" for note in self.comparison.notes]
        if self.comparison.remark:
            medians = {name: statistics.median(v) for name, v in self.values.items()}
            notes.append(f"{self.comparison.name}: {self.comparison.remark(medians)}")
        return notes

    def to_json(self) -> dict[str, Any]:
        """Raw values, rows and notes."""
        return {
            "name": self.comparison.name,
            "threads": self.threads,
            "unit": self.comparison.unit,
            "values": dict(self.values),
            "ratios": self.rows(),
            "notes": self.notes(),
        }


def measure(comparison: Comparison, rounds: int) -> Measurement:
    """Measure every contender once a round; every other round goes backwards through them."""
    contenders = list(comparison.contenders.items())
    values: dict[str, list[float]] = {name: [] for name, _ in contenders}
    for number in range(-int(comparison.warm_up), rounds * comparison.repeats):
        for name, contender in contenders[:: -1 if number % 2 else 1]:
            value = contender()
            if number >= 0:
                values[name].append(value)
    return Measurement(comparison, values, torch.get_num_threads())


def interval_of_median(values: Sequence[float]) -> tuple[float, float]:
    """Two of the values that have the true median between them with 95 % confidence.

    As many are left out below as above. How many values lie below the median is binomial, whatever
    their distribution. With five the least and the largest value are 94 % sure; fewer are less.
    """
    n, ordered = len(values), sorted(values)
    below = itertools.accumulate(math.comb(n, k) / 2**n for k in range(n))
    left_out = max(0, sum(chance <= 0.025 for chance in below) - 1)
    return ordered[left_out], ordered[n - 1 - left_out]


def seconds(action: Callable[[], Any], calls: int = 1) -> float:
    """Seconds of a call, the mean of some."""
    begun = time.perf_counter()
    for _ in range(calls):
        action()
    return (time.perf_counter() - begun) / calls


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """A context in which torch, and the processes started, compute with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def machine() -> dict[str, str | int]:
    """What the ratios are taken on; its name and paths stay out."""
    cuda = torch.cuda.is_available()
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": CORES,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if cuda else "none",
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def table(measurements: Sequence[Measurement]) -> str:
    """The rows as a Markdown table, and the notes below it."""
    header = ("name", "median", "95 %", "ratio of", "target")
    rows = [
        (
            row["name"],
            f"{row['median']:.3g}",
            f"{row['low']:.3g}..{row['high']:.3g}",
            row["ratio"],
            row["target"] + ("" if row["met"] else ", missed"),
        )
        for measurement in measurements
        for row in measurement.rows()
    ]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [header, tuple("-" * width for width in widths), *rows]
    shown = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    notes = [f"- {note}" for measurement in measurements for note in measurement.notes()]
    return "\n".join(shown + ([""] if notes else []) + notes)
