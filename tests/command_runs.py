"""`ltcore run` as a process of its own, to be signalled: how it is begun, followed and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import ltcore

ROOT = Path(__file__).parents[1]
RUN = (sys.executable, "-m", "ltcore", "run", "spec.json")
SPEC = {
    "name": "run",
    "dataset": {"name": "synthetic", "classes": 4, "per_class": 30, "imbalance_factor": 0.5},
    "backbone": "resnet32",
    "loss": "focal",
    "training": {"epochs": 2, "batch_size": 16, "device": "cpu", "timeout_seconds": 20},
}


def begin(folder, command=RUN, *more, **training):
    """Start a command; its own process group, so that a whole group can be signalled."""
    spec = {**SPEC, "training": {**SPEC["training"], **training}}
    (folder / "spec.json").write_text(json.dumps(spec))
    return subprocess.Popen(
        [*command, *more],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # where the tests run in the background, Ctrl-C is ignored, and a child would inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def end(process, seconds=120):
    """Exit code, stdout and stderr."""
    out, messages = process.communicate(timeout=seconds)
    return process.returncode, out, messages


def wait_for(process, text):
    """Return when a line of stderr has the text."""
    for line in process.stderr:
        if text in line:
            return
    pytest.fail(f"{text!r} was never said")


def left(folder):
    """All that a run computes: logits, weights, and the history but its seconds."""
    results = ltcore.read_results(folder / "results" / "run.h5")
    history = {name: column.tobytes() for name, column in results.history.items()}
    del history["seconds"]
    weights = (folder / "results" / "run.safetensors").read_bytes()
    return results.test.logits.tobytes(), weights, history
