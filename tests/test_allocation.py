"""A run on the CPU keeps the memory that its steps let go; a program that embeds ltcore does not.

Most tests look at the page faults of a process of its own: memory that was kept has none.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")

FAULTS = """
import ctypes, resource, sys
import torch

NO_HUGE_PAGES = 41  # where they are on for all, a fault brings 512 pages
ctypes.CDLL(None).prctl(NO_HUGE_PAGES, 1, 0, 0, 0)

def faults(step):
    "Page faults of four steps, each of eight tensors of 40 MB: too large for glibc's own heap."
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        tensors = [torch.ones(10_000_000) for _ in range(8)]
        del tensors
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
"""
ALONE = """
from ltcore.running.allocation import keeping_memory
told = []
between_steps = keeping_memory(told.append)
faults(lambda: between_steps("state"))
assert told == ["state"] * 4, told
print(faults(lambda: None))
"""
AS_THE_SHELL = """
import atexit
import ltcore.cli
atexit.register(lambda: (faults(lambda: None), print(faults(lambda: None))))
sys.argv = ["ltcore", "run", sys.argv[1], "--out", sys.argv[2]]
ltcore.cli.command_line()
"""
GOES_ON = """
import os, signal, sys
import ltcore.running.training as training
from ltcore.cli import main
validate = training.predict

def stopped(*arguments, **options):
    os.kill(os.getpid(), signal.SIGTERM)
    return validate(*arguments, **options)

training.predict = stopped
command = ["run", sys.argv[1], "--out", sys.argv[2], "--set", "training.epochs=2"]
assert main(command, own_process=True) == 75
training.predict = validate
print(main(command, own_process=True))
"""
IN_PROCESS = """
from ltcore.cli import main
assert main(["run", sys.argv[1], "--out", sys.argv[2]]) == 0
faults(lambda: None)
print(faults(lambda: None))
"""
EMBEDDED = """
import json, ltcore
ltcore.run(json.load(open(sys.argv[1])), out=sys.argv[2])
faults(lambda: None)
print(faults(lambda: None))
"""
GRADIENTS = """
import torch
from torch import nn
from ltcore.running.allocation import keeping_memory

def trained(keeps):
    "The weights of two steps, and of each step where the gradients of the used ones lie."
    torch.manual_seed(0)
    model = nn.ModuleDict({
        "small": nn.Conv2d(3, 8, 3, bias=False),
        "large": nn.Linear(8, 20_000, bias=False),
        "idle": nn.Linear(2, 2),
        "frozen": nn.Linear(8, 8).requires_grad_(False),
        "sparse": nn.Embedding(10, 8, sparse=True),
        "graph": nn.Linear(8, 8, bias=False),
    }).to(memory_format=torch.channels_last)
    model.register_parameter("odd", nn.Parameter(torch.zeros(4, 4).to_sparse()))
    used = [model[name].weight for name in ("small", "large", "sparse")]
    optimizer = torch.optim.SGD([*used, model["graph"].weight], lr=0.1)
    between_steps = keeping_memory(lambda _: None, model.parameters() if keeps else ())
    with torch.inference_mode():  # a run that goes on may begin with validation
        between_steps(None)
    images, places = torch.randn(4, 3, 8, 8).contiguous(memory_format=torch.channels_last), []
    for _ in range(4):
        features = model["small"](images).mean(dim=(2, 3)) + model["sparse"](torch.arange(4))
        logits = model["large"](model["graph"](model["frozen"](features)))
        logits.logsumexp(dim=1).sum().backward(inputs=used)
        model["graph"](features.detach()).exp().sum().backward(create_graph=True)
        assert model["graph"].weight.grad.requires_grad
        places.append({
            name: model[name].weight.grad.data_ptr() for name in ("small", "large")
        })
        assert model["idle"].weight.grad is model["frozen"].weight.grad is None
        assert model["sparse"].weight.grad.is_sparse
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        ballast.append(torch.empty(8 * 3 * 9))  # takes the place of what was freed
        between_steps(None)
    return [parameter.detach() for parameter in used], places

ballast = []
kept, places = trained(True)
plain, others = trained(False)
assert all(torch.equal(*pair) for pair in zip(kept, plain, strict=True))
print(*(len({each["small"] for each in found}) for found in (places, others)))
"""
SPEC = {
    "dataset": {"name": "synthetic", "classes": 3, "per_class": 8, "size": 8},
    "transform": {"size": 8},
    "backbone": "resnet32",
    "loss": "cross_entropy",
    "training": {"epochs": 1, "batch_size": 4, "device": "cpu"},
}
PAGES = 4 * 8 * 40_000_000 // os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0


def faults_of(code: str, *arguments: object, **environment: str) -> int:
    return int(output_of(FAULTS + code, *arguments, **environment).split()[-1])


def output_of(code: str, *arguments: object, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    clean.pop("GLIBC_TUNABLES", None)
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC), encoding="utf-8")
    return path


@glibc
def test_after_the_first_step_memory_is_kept():
    assert faults_of(ALONE) < PAGES / 100


@glibc
def test_small_gradients_have_places_of_their_own_and_change_nothing():
    with_places, without = map(int, output_of(GRADIENTS).split())
    assert with_places == 1
    assert without > 1


@glibc
def test_a_run_that_was_stopped_in_its_validation_goes_on(spec, tmp_path):
    assert output_of(GOES_ON, spec, tmp_path).split()[-1] == "0"
    assert len(list(tmp_path.glob("*.h5"))) == 1


@glibc
@pytest.mark.parametrize(
    "environment",
    [
        {"MALLOC_MMAP_THRESHOLD_": "1000000"},
        {"MALLOC_TRIM_THRESHOLD_": "131072"},
        {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=1000000"},
        {"GLIBC_TUNABLES": "glibc.malloc.perturb=0"},
    ],
)
def test_what_the_environment_says_of_malloc_stands(environment):
    assert faults_of(ALONE, **environment) > PAGES / 2


@glibc
def test_the_command_keeps_memory(spec, tmp_path):
    assert faults_of(AS_THE_SHELL, spec, tmp_path) < PAGES / 100


@glibc
@pytest.mark.parametrize("code", [IN_PROCESS, EMBEDDED])
def test_a_program_that_embeds_ltcore_gives_memory_back_as_before(code, spec, tmp_path):
    assert faults_of(code, spec, tmp_path) > PAGES / 2
