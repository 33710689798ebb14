"""What runs were computed with, as far as it can change their numbers, and where that differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ltcore.comparison import Environment, Run

# The keys of a results file's environment, and how a sentence calls them.
_CALLED = {
    "torch": "torch",
    "device_name": "device",
    "cpu_capability": "instructions",
    "cuda": "CUDA",
    "cudnn": "cuDNN",
    "threads": "threads",
    "world_size": "ranks",
    "batch_norm": "batch norm over the",
}


def environment_of(stored: Mapping[str, Any]) -> Environment:
    """What of a results file's environment can change numbers; empty where it says nothing."""
    return tuple((key, str(stored[key])) for key in _CALLED if stored.get(key))


def differing_environments(runs: Iterable[Run]) -> list[str]:
    """A sentence on what runs were not computed alike with, in a list; empty where all were.

    Predictions that were made up to give published accuracies were not computed.
    """
    counted: dict[str, Counter[str]] = {key: Counter() for key in _CALLED}
    for run in runs:
        for key, value in () if run.published else run.environment:
            counted[key][value] += 1
    differing = [
        f"{_CALLED[key]} "
        + ", ".join(f"{value} in {_runs(n)}" for value, n in sorted(values.items()))
        for key, values in counted.items()
        if len(values) > 1
    ]
    said = "; ".join(differing)
    return [f"not all runs were computed alike: {said}"] if differing else []


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number:,} runs"
