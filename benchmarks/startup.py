"""Light commands against a Python that imports numpy and h5py, as whole processes on one thread."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.comparison import Comparison, Options, Ratio
from benchmarks.processes import process_seconds
from benchmarks.results_files import write_study
from benchmarks.timing import threads

SPEC = '{"dataset": "cifar100_lt", "backbone": "resnet50", "loss": "balanced_softmax"}'
BASELINE = "import numpy, h5py"


def comparisons(options: Options) -> Iterator[Comparison]:
    """Help, the check of a spec, and the report on one file."""
    with tempfile.TemporaryDirectory() as name, threads(1):
        spec = Path(name, "spec.json")
        spec.write_text(SPEC, encoding="utf-8")
        (results,) = write_study(Path(name), 1, per_class=2 if options.quick else 50)
        commands = {
            "ltcore --help": ["-m", "ltcore", "--help"],
            "ltcore validate": ["-m", "ltcore", "validate", str(spec)],
            "ltcore report": ["-m", "ltcore", "report", results],
            BASELINE: ["-c", BASELINE],
        }
        contenders = {
            name: partial(process_seconds, *command) for name, command in commands.items()
        }
        ratios = [
            Ratio("ltcore --help", BASELINE, at_most=0.9),
            Ratio("ltcore validate", BASELINE),
            Ratio("ltcore report", BASELINE),
        ]
        yield Comparison("start to end", contenders, ratios)
