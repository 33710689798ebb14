"""One writer a run: seven of eight leave, a dead process blocks nobody, a stopped one is told."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ltcore
from ltcore.locking import only_writer
from tests.interrupted_runs import SPEC, processes, run, start

ROUNDS = 20


def _compete(out, gate, answers):
    import torch

    torch.set_num_threads(1)
    gate.wait()
    try:
        run(out, {**SPEC, "training": {**SPEC["training"], "epochs": 3, "checkpoint_minutes": 1}})
        answers.put("ran")
    except ltcore.RunningElsewhereError as error:
        answers.put(str(error))


def test_of_eight_processes_one_runs_and_seven_leave(tmp_path):
    context = processes()
    for number in range(ROUNDS):
        out, gate, answers = tmp_path / str(number), context.Barrier(8), context.Queue()
        competitors = [
            context.Process(target=_compete, args=(out, gate, answers)) for _ in range(8)
        ]
        for process in competitors:
            process.start()
        found = [answers.get(timeout=120) for _ in competitors]
        for process in competitors:
            process.join()
        assert found.count("ran") == 1, found
        refused = [answer for answer in found if answer != "ran"]
        assert all(f"on {socket.gethostname()}" in answer for answer in refused), refused
        assert sorted(path.name for path in out.iterdir()) == ["run.h5", "run.safetensors"]


def test_the_lock_of_a_dead_process_blocks_nobody(tmp_path):
    (process,) = start(tmp_path)
    while not (tmp_path / "run" / "checkpoint.pt").exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert (tmp_path / "run" / "lock").exists()
    run(tmp_path)


def test_the_command_leaves_within_two_seconds_without_torch(tmp_path):
    spec = {
        "name": "run",
        "dataset": "synthetic",
        "backbone": "resnet32",
        "loss": "cross_entropy",
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    script = (
        "import sys, time\n"
        "from ltcore.cli import main\n"
        "begun = time.monotonic()\n"
        "code = main(['run', 'spec.json'])\n"
        "print(code, 'torch' in sys.modules, time.monotonic() - begun)\n"
    )
    with only_writer(tmp_path / "results" / "run", "run"):
        before = sorted(path.name for path in (tmp_path / "results" / "run").iterdir())
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert sorted(path.name for path in (tmp_path / "results" / "run").iterdir()) == before
    code, torch_is_in, seconds = done.stdout.split()
    assert (code, torch_is_in) == ("6", "False"), done.stderr
    assert float(seconds) < 2
    assert done.stderr == (
        f"error: run is being run by process {os.getpid()} on {socket.gethostname()}. "
        "Wait for it, or stop it first.\n"
    )


def test_a_holder_that_says_nothing_is_another_process(tmp_path):
    with only_writer(tmp_path / "run", "run"):
        (tmp_path / "run" / "holder.json").write_text("{")
        other = only_writer(tmp_path / "run", "run")
        with pytest.raises(ltcore.RunningElsewhereError, match="being run by another process"):
            other.__enter__()


def test_the_lock_leaves_nothing_behind(tmp_path):
    with only_writer(tmp_path / "run", "run"):
        assert (tmp_path / "run").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    folder = only_writer(tmp_path / "file" / "run", "run")
    with pytest.raises(ltcore.SurroundingsError, match=r"file/run: cannot be written: .*--out"):
        folder.__enter__()
