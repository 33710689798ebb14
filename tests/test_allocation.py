"""A run on the CPU keeps the memory that its steps let go; a program that embeds ltcore does not.

Each test looks at the page faults of a process of its own: memory that was kept has none.
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
SPEC = {
    "dataset": {"name": "synthetic", "classes": 3, "per_class": 8, "size": 8},
    "transform": {"size": 8},
    "backbone": "resnet32",
    "loss": "cross_entropy",
    "training": {"epochs": 1, "batch_size": 4, "device": "cpu"},
}
PAGES = 4 * 8 * 40_000_000 // os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0


def faults_of(code: str, *arguments: object, **environment: str) -> int:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    clean.pop("GLIBC_TUNABLES", None)
    done = subprocess.run(
        [sys.executable, "-c", FAULTS + code, *map(str, arguments)],
        cwd=ROOT,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC), encoding="utf-8")
    return path


@glibc
def test_after_the_first_step_memory_is_kept():
    assert faults_of(ALONE) < PAGES / 100


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
