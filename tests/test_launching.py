"""`ltcore run --nproc` and torchrun: one run, one voice, and one end for all ranks."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

import ltcore
from ltcore.cli import main
from ltcore.launching import launch
from ltcore.locking import only_writer
from ltcore.stopping import StopRequest
from tests import command_runs
from tests.command_runs import end, left, wait_for

NPROC = [*command_runs.RUN, "--nproc", "2"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
TORCHRUN += ["-m", "ltcore", "run", "spec.json"]


def begin(folder, command=NPROC, *more, **training):
    return command_runs.begin(folder, command, *more, **training)


def ranks_of(process):
    """The process ids of a launcher's ranks, in their order."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


def is_alive(pid):
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    return folder, end(begin(folder)), left(folder)


def test_two_ranks_speak_with_one_voice(unbroken):
    folder, (code, out, messages), _ = unbroken
    assert (code, out) == (0, "results/run.h5\n")
    lines = messages.splitlines()
    assert len(lines) == len(set(lines))
    assert "parameters on cpu, 2 ranks" in messages
    assert sum("epoch 1/2" in line for line in lines) == 1
    assert sorted(path.name for path in (folder / "results").iterdir()) == [
        "run.h5",
        "run.safetensors",
    ]


def test_a_finished_run_is_left_alone(unbroken):
    folder, _, before = unbroken
    code, out, messages = end(begin(folder))
    assert (code, out) == (0, "results/run.h5\n")
    assert messages.startswith("run is finished already; its file is left as it is\n")
    assert left(folder) == before


def test_torchrun_gives_the_same_bytes(tmp_path, unbroken):
    code, out, messages = end(begin(tmp_path, TORCHRUN))
    assert (code, out) == (0, "results/run.h5\n"), messages
    assert left(tmp_path) == unbroken[2]
    code, out, messages = end(begin(tmp_path, TORCHRUN))
    assert (code, out) == (0, "results/run.h5\n"), messages
    assert messages.count("run is finished already") == 1


@pytest.mark.parametrize(("moment", "group"), [("parameters on", False), ("epoch 1/2", True)])
def test_a_signal_to_the_launcher_stops_all_with_75(tmp_path, unbroken, moment, group):
    process = begin(tmp_path)
    wait_for(process, moment)
    ranks = ranks_of(process)
    if group:
        for pid in (process.pid, *ranks):
            os.kill(pid, signal.SIGTERM)
    else:
        process.terminate()
    code, out, messages = end(process)
    assert (code, out) == (75, "")
    assert messages.count("error: stopped by SIGTERM; the same command goes on") == 1
    assert not any(map(is_alive, ranks))
    assert end(begin(tmp_path))[0] == 0
    assert left(tmp_path) == unbroken[2]


def test_a_signal_to_one_rank_stops_all_at_one_step(tmp_path):
    process = begin(tmp_path)
    wait_for(process, "epoch 1/2")
    os.kill(ranks_of(process)[1], signal.SIGTERM)
    code, _, messages = end(process)
    assert code == 75
    (error,) = [line for line in messages.splitlines() if line.startswith("error: ")]
    assert error == "error: stopped by a signal to a rank; the same command goes on"
    assert (tmp_path / "results" / "run" / "checkpoint.pt").exists()


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_signal_while_the_ranks_start_stops_all_with_75(tmp_path, seconds):
    process = begin(tmp_path)
    while len(ranks_of(process)) < 2:
        time.sleep(0.01)
    time.sleep(seconds)
    process.send_signal(signal.SIGUSR1)
    code, _, messages = end(process)
    assert code == 75
    # an import that has begun ends first; training does not begin
    assert messages.splitlines()[-1] == "error: stopped by SIGUSR1; the same command goes on"
    assert messages.count("error: ") == 1
    assert "epoch 1" not in messages


def test_ctrl_c_ends_all_with_130(tmp_path):
    process = begin(tmp_path)
    wait_for(process, "epoch 1/2")
    ranks = ranks_of(process)
    os.killpg(process.pid, signal.SIGINT)
    code, out, messages = end(process)
    assert (code, out) == (130, "")
    assert messages.splitlines()[-1] == "interrupted; the same command goes on"
    assert messages.count("interrupted") == 1
    assert "Traceback" not in messages
    assert not any(map(is_alive, ranks))


def test_ranks_whose_launcher_was_killed_stop_by_themselves(tmp_path, unbroken):
    process = begin(tmp_path)
    wait_for(process, "epoch 1/2")
    ranks = ranks_of(process)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(map(is_alive, ranks)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, ranks))
    process.communicate()
    assert end(begin(tmp_path))[0] == 0
    assert left(tmp_path) == unbroken[2]


def test_a_killed_rank_ends_all_and_is_named(tmp_path):
    process = begin(tmp_path)
    wait_for(process, "epoch 1/2")
    ranks = ranks_of(process)
    os.kill(ranks[1], signal.SIGKILL)
    code, out, messages = end(process, 20)
    assert (code, out) == (1, "")
    assert messages.splitlines()[-1].startswith("error: rank 1 was killed by SIGKILL")
    assert not any(map(is_alive, ranks))


def test_a_rank_that_stalls_ends_all_within_the_time_out(tmp_path):
    process = begin(tmp_path, timeout_seconds=3, epochs=9)
    wait_for(process, "epoch 1/9")
    ranks = ranks_of(process)
    os.kill(ranks[1], signal.SIGSTOP)
    begun = time.monotonic()
    code, out, messages = end(process)
    assert time.monotonic() - begun < 15
    assert (code, out) == (1, "")
    assert "error: lost contact with another rank: it has died, or has not answered" in messages
    assert not any(map(is_alive, ranks))


def test_a_non_finite_loss_is_told_once_and_ends_with_4(tmp_path):
    process = begin(tmp_path, optimizer={"name": "sgd", "lr": 1e30})
    code, _, messages = end(process)
    assert code == 4
    assert messages.count("error: ") == 1
    assert "error: epoch 0, step" in messages
    status = json.loads((tmp_path / "results" / "run" / "status.json").read_text())
    assert status["exit_code"] == 4
    assert status["error"].startswith("epoch 0, step")


def test_under_torchrun_the_status_file_has_the_exit_code(tmp_path):
    process = begin(tmp_path, TORCHRUN, optimizer={"name": "sgd", "lr": 1e30})
    code, _, messages = end(process)
    assert code == 1
    assert messages.count("error: epoch 0, step") == 1
    status = json.loads((tmp_path / "results" / "run" / "status.json").read_text())
    assert (status["exit_code"], status["rank"]) in [(4, 0), (4, 1)]


def test_a_mistake_that_only_the_run_finds_is_told_once(tmp_path):
    code, _, messages = end(begin(tmp_path, batch_size=1))
    assert code == 2
    assert messages == (
        "error: training.batch_size: 1 is less than the 2 ranks that share a batch; choose more, "
        "or start fewer ranks\n"
    )


def test_the_launcher_leaves_where_the_run_is_run_elsewhere(tmp_path):
    with only_writer(tmp_path / "results" / "run", "run"):
        code, out, messages = end(begin(tmp_path))
    assert (code, out) == (6, "")
    assert messages == (
        f"error: run is being run by process {os.getpid()} on {socket.gethostname()}. "
        "Wait for it, or stop it first.\n"
    )


def test_ranks_meet_in_any_folder_and_import_what_the_launcher_imports(tmp_path, monkeypatch):
    (tmp_path / "tmp here #1").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp here #1"))
    (tmp_path / "click.py").write_text("raise ImportError('not that click')")
    command = [sys.executable, "-P", *NPROC[1:]]
    code, _, messages = end(begin(tmp_path, command, batch_size=1))
    assert code == 2
    assert messages.startswith("error: training.batch_size: 1 is less than the 2 ranks")


def test_a_launcher_without_a_temporary_folder_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(ltcore.SurroundingsError, match="no temporary folder to meet in: No such"):
        launch(["run", "spec.json"], 2, StopRequest())


def test_ranks_that_cannot_be_started_are_named(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ltcore.SurroundingsError, match="rank 0 of 2 could not be started: No such"):
        launch(["run", "spec.json"], 2, StopRequest())


def test_a_rank_starts_no_ranks(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["run", "spec.json", "--nproc", "2"]) == 2
    assert "--nproc: this is one of several processes already" in capsys.readouterr().err


def test_options_reach_the_ranks(tmp_path):
    more = ["--set", "training.epochs=1", "--set", "name=other", "--out", "else where", "--force"]
    code, out, _ = end(begin(tmp_path, NPROC, *more))
    assert (code, out) == (0, "else where/other.h5\n")
    assert len(ltcore.read_results(tmp_path / "else where" / "other.h5").history["epoch"]) == 1


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_train_as_one(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    cuda = {"device": "cuda", "sync_batch_norm": True, "deterministic": True}
    assert end(begin(one, command_runs.RUN, **cuda))[0] == 0
    assert end(begin(two, **cuda))[0] == 0
    found = [ltcore.read_results(out / "results" / "run.h5") for out in (one, two)]
    assert [results.environment["world_size"] for results in found] == [1, 2]
    assert {results.environment["batch_norm"] for results in found} == {"batch"}
    losses = [results.history["train_loss"] for results in found]
    assert losses[1] == pytest.approx(losses[0], abs=1e-2)
