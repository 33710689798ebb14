"""`ltcore report` against plain h5py, as ratios taken side by side.

    python benchmarks/report.py [--files 56] [--rounds 5]

Makes results files of 5,000 x 100 logits in a temporary folder, and times whole processes: plain
h5py that reads test logits and labels with one argmax; the same that reads all that is in each
file; and `ltcore report`. Prints medians and ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import ltcore
from ltcore.protocol import class_groups, evaluation_views, profile_counts, ranks
from ltcore.results import Predictions

K, PER_CLASS = 100, 50
LOSSES = ("cross_entropy", "weighted_cross_entropy", "focal", "class_balanced")
LOSSES += ("balanced_softmax", "equalization", "ldam")
BACKBONES = ("resnet50", "mobilenet_v2", "convnext_base", "vit_b_16")
LOGITS_ALONE = """
import sys, h5py
for path in sys.argv[1:]:
    with h5py.File(path) as file:
        (file["test/logits"][()].argmax(axis=1) == file["test/label"][()]).mean()
"""
WHOLE_FILES = """
import sys, h5py
for path in sys.argv[1:]:
    with h5py.File(path) as file:
        found, attributes = {}, dict(file.attrs)
        file.visititems(
            lambda name, item: found.update({name: item[()]})
            if isinstance(item, h5py.Dataset) else None
        )
        (found["test/logits"].argmax(axis=1) == found["test/label"]).mean()
"""


def write_files(folder: Path, files: int) -> list[str]:
    """Runs of 4 backbones, 7 losses and as many seeds as it takes."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(K), PER_CLASS)
    ids = np.array([f"train/class_{c:02d}/{n:05d}.png" for n, c in enumerate(labels)])
    counts = profile_counts(K, 450, 0.01)
    rank = ranks(counts)
    views = evaluation_views(labels, ids, train_counts=counts, rank=rank, factor=0.01, seed=42)
    classes = ltcore.Classes(tuple(f"class {k}" for k in range(K)), counts, class_groups(rank))
    paths = []
    for number in range(files):
        logits = random.normal(size=(len(labels), K)).astype(np.float32)
        logits[np.arange(len(labels)), labels] += 2
        seed, place = divmod(number, len(LOSSES) * len(BACKBONES))
        loss, backbone = divmod(place, len(BACKBONES))
        spec = ltcore.RunSpec(
            dataset="cifar100_lt", backbone=BACKBONES[backbone], loss=LOSSES[loss], seed=seed
        )
        test = Predictions.from_logits(logits, labels, ids, views)
        results = ltcore.Results(spec=spec, name=f"run-{number}", classes=classes, test=test)
        paths.append(str(ltcore.write_results(results, folder / f"{number}.h5")))
    return paths


def timed(command: list[str]) -> float:
    """Seconds of a process from its start to its end, its modules compiled as pip leaves them."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=environment)
    return time.perf_counter() - begun


def main() -> None:
    """Time each command once a round, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=56)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(Path(folder), arguments.files)
        commands = {
            "h5py, logits and labels": [sys.executable, "-c", LOGITS_ALONE, *paths],
            "h5py, whole files": [sys.executable, "-c", WHOLE_FILES, *paths],
            "ltcore report": [sys.executable, "-m", "ltcore", "report", *paths],
        }
        for command in commands.values():
            timed(command)  # compiles
        found: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(arguments.rounds):
            for name, command in commands.items():
                found[name].append(timed(command))
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    print(f"{arguments.files} files, medians of {arguments.rounds} rounds")
    for name, seconds in medians.items():
        ratio = medians["ltcore report"] / seconds
        print(f"{name:26} {seconds:7.2f} s   report / this: {ratio:.2f}")


if __name__ == "__main__":
    main()
