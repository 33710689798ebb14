"""`training.compile`: plain names, and a run that goes on although it compiles in another order."""

from __future__ import annotations

import re
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

import torch
import torch._inductor.compile_fx as inductor
import ltcore.running.training as training
from tests.interrupted_runs import SPEC, run

compile_fx, symbolic = inductor.compile_fx, []

def noted(graph, inputs, *arguments, **options):
    symbolic.append(any(isinstance(value, torch.SymInt) for value in inputs))
    return compile_fx(graph, inputs, *arguments, **options)

inductor.compile_fx = noted

def fail(*arguments, **options):
    os._exit(75)  # as a kill does

if sys.argv[2] == "until validation":
    training.predict = fail
settings = {"epochs": 3, "compile": True, "checkpoint_minutes": 1e-9}
run(Path(sys.argv[1]), {**SPEC, "training": {**SPEC["training"], **settings}})
print("graphs of no fixed shape:", sum(symbolic), "of", len(symbolic))
"""


def in_a_process(out: Path, how_far: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(out), how_far],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 75), done.stderr
    return done


def test_a_compiled_run_goes_on_from_its_validation_to_the_same_bytes(tmp_path):
    """Its evaluation is then compiled first, and its batches are of another size.

    With one thread the bytes would be the same with other graphs too: so these are looked at.
    """
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    unbroken = in_a_process(whole, "to the end")
    assert in_a_process(broken, "until validation").returncode == 75
    assert (broken / "run" / "checkpoint.pt").exists()
    gone_on = in_a_process(broken, "to the end")
    assert what_is_left(broken) == what_is_left(whole)
    for done in (unbroken, gone_on):
        found, all_of_them = re.findall(r"graphs of no fixed shape: (\d+) of (\d+)", done.stdout)[0]
        assert int(found) == 0
        assert int(all_of_them) >= 2


@pytest.mark.parametrize("compiled", [False, True])
def test_weights_have_the_names_of_the_model(tmp_path, compiled):
    settings = {**SPEC["training"], "epochs": 3, "compile": compiled}
    run(tmp_path, {**SPEC, "training": settings})
    with safe_open(tmp_path / "run.safetensors", "pt") as weights:
        names = set(weights.keys())
    convolution, norm = {"0.weight", "0.bias"}, {"1.weight", "1.bias"}
    statistics = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert names == convolution | norm | statistics | {"5.weight", "5.bias"}
