"""`ltcore report` against plain h5py, as whole processes on one thread.

Plain h5py reads test logits and labels and takes one argmax; or reads all that is in each file; or
is imported alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.comparison import Comparison, Options, Ratio
from benchmarks.processes import process_seconds
from benchmarks.results_files import write_study
from benchmarks.startup import BASELINE
from benchmarks.timing import threads

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


def comparisons(options: Options) -> Iterator[Comparison]:
    """The files of a study, 4 backbones by 7 losses by 2 seeds, of 5,000 test images."""
    files, per_class = (2, 2) if options.quick else (56, 50)
    with tempfile.TemporaryDirectory() as folder, threads(1):
        paths = write_study(Path(folder), files, per_class)
        commands = {
            "ltcore report": ["-m", "ltcore", "report"],
            "h5py, logits and labels": ["-c", LOGITS_ALONE],
            "h5py, whole files": ["-c", WHOLE_FILES],
            BASELINE: ["-c", BASELINE],
        }
        contenders = {
            name: partial(process_seconds, *command, *paths) for name, command in commands.items()
        }
        ratios = [
            Ratio("ltcore report", "h5py, logits and labels", at_most=3),
            Ratio("ltcore report", "h5py, whole files", at_most=3),
            Ratio("ltcore report", BASELINE, at_most=4),
        ]
        yield Comparison(f"{files} files", contenders, ratios)
