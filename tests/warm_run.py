"""One run on import: a process that imports this, and those forked from it, run again at once."""

import tempfile
from pathlib import Path

import torch

from tests.interrupted_runs import run

torch.set_num_threads(1)
with tempfile.TemporaryDirectory() as folder:
    run(Path(folder))
