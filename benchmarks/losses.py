"""Each loss's forward and backward pass, as ratios to PyTorch's cross-entropy of the same logits.

    python benchmarks/losses.py [--rounds 100] [--json FILE]

One thread on the CPU, logits of 128 x 100 in float32, as a training step of CIFAR-100-LT has them.
A round times each loss in turn, and each ratio is taken within its round, so that what slows the
machine down slows all of them. Prints the median ratio and the range of the rounds.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import ltcore
import ltcore_losses
from ltcore.protocol import class_groups, profile_counts, ranks

N, K = 128, 100
CALLS = 50  # of each loss in a round: some milliseconds, against microseconds of the clock


def build_losses() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """By name: the function that all are measured by, PyTorch's module, ltcore's in training."""
    counts = profile_counts(K, 450, 0.01)
    names = tuple(f"class {k}" for k in range(K))
    classes = ltcore.Classes(names, counts, class_groups(ranks(counts)))
    losses: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "torch": F.cross_entropy,
        "torch.nn.CrossEntropyLoss": torch.nn.CrossEntropyLoss(),  # the cost of being a module
    }
    for component in ltcore_losses.ltcore_register_losses():
        criterion = component().build(classes)
        for part in criterion.modules():
            if isinstance(part, ltcore.PerSampleLoss):
                part.generator = torch.Generator().manual_seed(0)
        losses[component.name] = criterion
    return losses


def seconds(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels: Tensor) -> float:
    """Seconds of a forward and backward pass, the mean of some calls."""
    begun = time.perf_counter()
    for _ in range(CALLS):
        logits.grad = None
        loss(logits, labels).backward()
    return (time.perf_counter() - begun) / CALLS


def time_rounds(rounds: int) -> dict[str, list[float]]:
    """Seconds of each loss in each round, after one round that does not count."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(N, K, generator=generator).requires_grad_()
    labels = torch.randint(K, (N,), generator=generator)
    losses = build_losses()
    found = [
        {name: seconds(loss, logits, labels) for name, loss in losses.items()}
        for _ in range(rounds + 1)
    ]
    return {name: [row[name] for row in found[1:]] for name in losses}


def ratios_of(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median, least and largest ratio of each loss to PyTorch's cross-entropy."""
    found = {}
    for name, own in times.items():
        ratios = [mine / theirs for mine, theirs in zip(own, times["torch"], strict=True)]
        if name != "torch":
            found[name] = {
                "median": statistics.median(ratios),
                "min": min(ratios),
                "max": max(ratios),
            }
    return found


def machine() -> dict[str, str | int]:
    """What the ratios were taken on."""
    return {
        "platform": platform.platform(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    """Time the rounds, print the table and write it where it was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    times = time_rounds(arguments.rounds)
    ratios = ratios_of(times)
    unit = statistics.median(times["torch"])
    print(f"1 is torch.nn.functional.cross_entropy: {unit * 1e6:.0f} us; {arguments.rounds} rounds")
    print(f"{'loss':25} {'ratio':>5}   min..max")
    for name, ratio in ratios.items():
        print(f"{name:25} {ratio['median']:5.2f}   {ratio['min']:.2f}..{ratio['max']:.2f}")
    if arguments.json:
        content = {
            "machine": machine(),
            "logits": [N, K],
            "rounds": arguments.rounds,
            "torch_seconds": unit,
            "ratios": ratios,
        }
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
