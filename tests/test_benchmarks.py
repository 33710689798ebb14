"""The benchmarks run, tiny and once; what they measure is asserted nowhere."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.timing import interval_of_median

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("training", "input", "losses", "results", "gpu")


def test_benchmarks_run_and_write_every_ratio_with_its_values(tmp_path):
    file = tmp_path / "ratios.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *PARTS, "--quick", "--rounds", "1", "--json", file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(file.read_text())
    assert tuple(content["parts"]) == PARTS
    assert content["machine"].keys() >= {"platform", "processor", "cores", "threads", "torch"}
    for part in PARTS:
        assert f"## {part}" in done.stdout
        rows = [row for entry in content["parts"][part] for row in entry["ratios"]]
        assert rows
        assert all(0 < row["low"] <= row["median"] <= row["high"] for row in rows)
        assert all(row["ratio"] in done.stdout for row in rows)
    values = [entry["values"] for entries in content["parts"].values() for entry in entries]
    assert {"ltcore", "bare loop", "bare loop, tuned"} <= values[0].keys()
    assert {"ltcore", "DataLoader"} <= values[1].keys()


@pytest.mark.parametrize("n", [1, 5, 6, 20, 60])
def test_the_interval_of_a_median_holds_it_as_often_as_it_says(n):
    values = np.random.default_rng(n).exponential(size=(4_000, n))
    found = np.array([interval_of_median(list(row)) for row in values])
    hits = np.mean((found[:, 0] <= math.log(2)) & (math.log(2) <= found[:, 1]))
    assert hits >= min(0.95, 1 - 2 / 2**n) - 0.015
    if n > 5:  # and it is no wider than it must be
        assert hits <= 0.99


def test_benchmarks_refuse_a_part_that_is_not_there():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "losess"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no part losess; there are training, input, losses" in done.stderr
