"""`training.compile`: plain names, and a run that goes on although it compiles in another order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.interrupted_runs import SPEC, run, what_is_left

ROOT = Path(__file__).parents[1]
RUN = """
import os, sys
from pathlib import Path

import ltcore.running.training as training
from tests.interrupted_runs import SPEC, run

def fail(*arguments, **options):
    os._exit(75)  # as a kill does

if sys.argv[2] == "until validation":
    training.predict = fail
settings = {"epochs": 3, "compile": True, "checkpoint_minutes": 1e-9}
run(Path(sys.argv[1]), {**SPEC, "training": {**SPEC["training"], **settings}})
"""


def in_a_process(out: Path, how_far: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(out), how_far],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 75), done.stderr
    return done.returncode


def test_a_compiled_run_goes_on_from_its_validation_to_the_same_bytes(tmp_path):
    """Its evaluation is then compiled first, and its batches are of another size."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert in_a_process(whole, "to the end") == 0
    assert in_a_process(broken, "until validation") == 75
    assert (broken / "run" / "checkpoint.pt").exists()
    assert in_a_process(broken, "to the end") == 0
    assert what_is_left(broken) == what_is_left(whole)


@pytest.mark.parametrize("compiled", [False, True])
def test_weights_have_the_names_of_the_model(tmp_path, compiled):
    settings = {**SPEC["training"], "epochs": 3, "compile": compiled}
    run(tmp_path, {**SPEC, "training": settings})
    with safe_open(tmp_path / "run.safetensors", "pt") as weights:
        names = set(weights.keys())
    convolution, norm = {"0.weight", "0.bias"}, {"1.weight", "1.bias"}
    statistics = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert names == convolution | norm | statistics | {"5.weight", "5.bias"}
