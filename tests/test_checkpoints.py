"""A run that is killed goes on to the bytes of the unbroken run; what is in its way is told."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

import ltcore
from ltcore.publishing import Writing
from ltcore.ranks import Rank
from ltcore.running.checkpoints import Checkpoints, publish_weights
from ltcore.running.group import Group
from ltcore.stopping import StopRequest
from tests.interrupted_runs import (
    SPEC,
    Plugin,
    killed_after,
    run,
    seconds_of_a_run,
    what_is_left,
)

FINISHED = ["run.h5", "run.safetensors"]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken")
    run(out)
    return what_is_left(out)


class Interrupting:
    """A listener that interrupts the run after an epoch, as Ctrl-C would."""

    def __init__(self, epoch=1):
        self.epoch = epoch

    @ltcore.hookimpl
    def ltcore_epoch_finished(self, run, row):
        if row.epoch == self.epoch:
            raise KeyboardInterrupt


def interrupt(out, epoch=1, spec=SPEC):
    """Run up to an epoch's end: the checkpoint that is left is one of its steps, or before."""
    with pytest.raises(KeyboardInterrupt):
        ltcore.run(dict(spec), out=out, plugins=[Plugin(), Interrupting(epoch)])
    assert (out / "run" / "checkpoint.pt").exists()


def changed(**training):
    return {**SPEC, "training": {**SPEC["training"], **training}}


def names(out):
    return sorted(path.name for path in out.iterdir())


def test_a_finished_run_leaves_its_results_and_weights_alone(tmp_path):
    run(tmp_path)
    assert names(tmp_path) == FINISHED


def test_weights_beside_the_results_are_those_that_were_tested(tmp_path, unbroken):
    from safetensors.torch import load_file

    results = run(tmp_path)
    weights = load_file(tmp_path / "run.safetensors")
    assert set(weights) >= {"0.weight", "1.running_mean", "5.weight"}
    assert all(torch.isfinite(value.float()).all() for value in weights.values())
    assert results.best_epoch == int(unbroken["best_epoch"])


def test_killed_again_and_again_a_run_ends_with_the_bytes_of_the_unbroken_one(tmp_path, unbroken):
    seconds_of_a_run(tmp_path / "first")  # the processes' parent imports torch
    seconds = seconds_of_a_run(tmp_path / "timed")
    assert what_is_left(tmp_path / "timed") == unbroken
    moments = random.Random(0)
    kills = number = 0
    while kills < 30:
        out = tmp_path / str(number)
        while killed_after(out, moments.uniform(0, 1.1 * seconds)):
            kills += 1
        assert what_is_left(out) == unbroken
        assert names(out) == FINISHED
        number += 1


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_interrupted_at_an_epochs_end_a_run_goes_on_to_the_same_bytes(tmp_path, unbroken, epoch):
    interrupt(tmp_path, epoch)
    run(tmp_path)
    assert what_is_left(tmp_path) == unbroken


def test_a_run_that_goes_on_says_from_where(tmp_path):
    class Told:
        @ltcore.hookimpl
        def ltcore_run_started(self, spec, run):
            self.run = run

    interrupt(tmp_path)
    told = Told()
    ltcore.run(dict(SPEC), out=tmp_path, plugins=[Plugin(), told])
    assert (told.run.epoch, told.run.step) > (0, 0)


def test_checkpoints_hold_tensors_and_plain_values_alone(tmp_path):
    interrupt(tmp_path)
    saved = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert saved["version"] == 1
    assert {"model", "criterion", "optimizer", "scaler", "sums", "epoch", "step", "history"} <= set(
        saved["state"]
    )


def test_another_spec_does_not_go_on_from_a_begun_run(tmp_path):
    interrupt(tmp_path)
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    with pytest.raises(ltcore.CheckpointError) as caught:
        run(tmp_path, changed(batch_size=4))
    assert "training.batch_size: 8 there, 4 here" in str(caught.value)
    assert "--fresh" in str(caught.value)
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before


def test_what_cannot_change_the_outcome_may_change_on_the_way(tmp_path, unbroken):
    interrupt(tmp_path)
    run(tmp_path, changed(checkpoint_minutes=5))
    assert what_is_left(tmp_path) == unbroken


def test_going_on_with_another_torch_is_warned_of(tmp_path):
    interrupt(tmp_path)
    path = tmp_path / "run" / "begun.json"
    begun = json.loads(path.read_text())
    begun["conditions"]["torch"] = "1.0"
    path.write_text(json.dumps(begun))
    with pytest.warns(ltcore.LtcoreWarning, match=r"begun with ltcore \S+, torch 1.0, ranks 1 and"):
        run(tmp_path)


def test_going_on_with_another_number_of_ranks_is_warned_of(tmp_path):
    interrupt(tmp_path)
    path = tmp_path / "run" / "begun.json"
    path.write_text(path.read_text().replace('"ranks": "1"', '"ranks": "4"'))
    with pytest.warns(ltcore.LtcoreWarning, match="ranks 4 and goes on with .*, ranks 1: its"):
        run(tmp_path)


def test_fresh_begins_anew(tmp_path):
    interrupt(tmp_path, spec=changed(batch_size=4))
    run(tmp_path, fresh=True)
    assert names(tmp_path) == FINISHED


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "version"])
def test_a_damaged_checkpoint_is_named_with_the_mend(tmp_path, damage):
    interrupt(tmp_path)
    path = tmp_path / "run" / "checkpoint.pt"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[:64] = bytes(64)
        path.write_bytes(content)
    elif damage == "text":
        path.write_text("hello")
    else:
        torch.save({"version": 99, "state": {}}, path)
    with pytest.raises(ltcore.CheckpointError, match=r"checkpoint\.pt: cannot go on .*--fresh"):
        run(tmp_path)


def test_a_begun_folder_that_says_nothing_is_named(tmp_path):
    interrupt(tmp_path)
    (tmp_path / "run" / "begun.json").write_text("{")
    with pytest.raises(ltcore.CheckpointError, match=r"begun\.json: cannot be read.*--fresh"):
        run(tmp_path)


def test_force_puts_the_finished_results_aside(tmp_path):
    run(tmp_path)
    first = [(tmp_path / name).read_bytes() for name in FINISHED]
    run(tmp_path, changed(epochs=3), force=True)
    run(tmp_path, changed(epochs=3), force=True)
    assert [(tmp_path / f"{name}.1").read_bytes() for name in FINISHED] == first
    assert len(ltcore.read_results(tmp_path / "run.h5").history["epoch"]) == 3
    assert names(tmp_path) == [name + end for name in FINISHED for end in ("", ".1", ".2")]


def test_a_kept_folder_is_kept_and_a_forced_run_trains_anew(tmp_path):
    from ltcore.plugins import load_plugins
    from ltcore.resolution import resolve
    from ltcore.running.start import Options, train_and_test

    class Counting:
        epochs = 0

        @ltcore.hookimpl
        def ltcore_epoch_finished(self, run, row):
            self.epochs += 1

    counting = Counting()
    catalogue = load_plugins(Plugin(), counting)
    resolved = resolve(dict(SPEC), catalogue)
    train_and_test(resolved, tmp_path, catalogue, Options(keep_folder=True))
    assert names(tmp_path / "run") == ["begun.json", "checkpoint.pt"]
    train_and_test(resolved, tmp_path, catalogue, Options(force=True))
    assert counting.epochs == 8


def test_an_epoch_that_became_non_finite_overwrites_no_checkpoint(tmp_path):
    spec = changed(optimizer={"name": "sgd", "lr": 1e30, "momentum": 0.0})
    with pytest.raises(ltcore.NonFiniteError, match=r"epoch 0, step \d+: .*learning rate 1e\+30"):
        run(tmp_path, spec)
    path = tmp_path / "run" / "checkpoint.pt"
    if path.exists():
        saved = torch.load(path, weights_only=True)["state"]["model"]
        assert all(torch.isfinite(value.float()).all() for value in saved.values())


def test_checkpoints_come_with_the_clock(tmp_path):
    now = 0.0
    saved = []

    class Noted(Checkpoints):
        def save(self, state):
            saved.append((state.epoch, state.step))
            self._saved_at = now

    class State:
        epoch = step = 0

    checkpoints = Noted(
        tmp_path / "c.pt",
        Group(Rank(), torch.device("cpu")),
        minutes=1,
        stop=StopRequest(),
        clock=lambda: now,
    )
    state = State()
    for epoch in (0, 1):
        state.epoch = epoch
        for step in range(4):
            now, state.step = now + 25.0, step
            checkpoints.between_steps(state)
    assert saved == [(0, 2), (1, 1)]


def test_the_other_ranks_look_for_non_finite_numbers_as_rarely_as_the_first_one(tmp_path):
    clock = iter([0.0, 30.0, 60.0, 60.0, 61.0, 119.0, 120.0, 120.0])
    looked = []

    class State:
        step = 0

        def refuse_non_finite(self):
            looked.append(self.step)

    checkpoints = Checkpoints(
        tmp_path / "c.pt",
        Group(Rank(1, 1), torch.device("cpu")),
        minutes=1,
        stop=StopRequest(),
        clock=lambda: next(clock),
    )
    state = State()
    for state.step in range(5):
        checkpoints.between_steps(state)
    assert looked == [1, 4]


def test_a_stop_while_the_checkpoint_is_read_is_a_stop(tmp_path, monkeypatch):
    interrupt(tmp_path)
    monkeypatch.setattr(torch, "load", lambda *_, **__: StopRequest().ask("SIGTERM"))
    with pytest.raises(ltcore.StoppedError, match="stopped by SIGTERM"):
        run(tmp_path)


FULL_DISK = """
import json, sys
from pathlib import Path
import torch
import ltcore
from tests.interrupted_runs import SPEC, Plugin, run, what_is_left
import ltcore.running.engine as engine

disk = Path(sys.argv[1])
out = disk / "out"
filler = disk / "filler"

def fill():
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass

class Filling:
    @ltcore.hookimpl
    def ltcore_epoch_finished(self, run, row):
        if row.epoch == 1:
            fill()

def expect_full(call):
    try:
        call()
    except ltcore.SurroundingsError as error:
        assert "the disk is full" in str(error) and "bytes are needed" in str(error), error
    else:
        raise SystemExit("the disk was not full")

publish = engine.publish_weights

def fill_and_publish(model, path):
    fill()
    publish(model, path)

torch.set_num_threads(1)
fill()
expect_full(lambda: run(out))                       # before the first step
filler.unlink()
expect_full(lambda: ltcore.run(dict(SPEC), out=out, plugins=[Plugin(), Filling()]))  # a checkpoint
checkpoint = (out / "run" / "checkpoint.pt")
assert torch.load(checkpoint, weights_only=True)["state"]["epoch"] == 2
filler.unlink()
engine.publish_weights = fill_and_publish
expect_full(lambda: run(out))                       # weights and results
assert not (out / "run.h5").exists()
filler.unlink()
engine.publish_weights = publish
run(out)
assert sorted(path.name for path in out.iterdir()) == ["run.h5", "run.safetensors"]
for name, content in what_is_left(out).items():
    (Path(sys.argv[2]) / name).write_bytes(content)
"""


def test_a_full_disk_loses_nothing_and_the_run_goes_on_when_there_is_room(tmp_path, unbroken):
    disk, left = tmp_path / "disk", tmp_path / "left"
    disk.mkdir()
    left.mkdir()
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", disk]
    if not shutil.which("unshare") or subprocess.run(probe, check=False).returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    mount = 'mount -t tmpfs -o size=6m tmpfs "$1" && exec "$2" -c "$3" "$1" "$4"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, "sh", disk, sys.executable, FULL_DISK, left],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in left.iterdir()} == unbroken


def test_a_stop_between_steps_saves_first(tmp_path, unbroken):
    from ltcore.plugins import load_plugins
    from ltcore.resolution import resolve
    from ltcore.running.start import train_and_test

    stop = StopRequest()

    class Asking:
        @ltcore.hookimpl
        def ltcore_epoch_finished(self, run, row):
            if row.epoch == 1:
                stop.ask("a test")

    catalogue = load_plugins(Plugin(), Asking())
    resolved = resolve(dict(SPEC), catalogue)
    with pytest.raises(ltcore.StoppedError, match="stopped by a test; the same command goes on"):
        train_and_test(resolved, tmp_path, catalogue, stop=stop)
    saved = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["state"]
    assert (saved["epoch"], saved["step"]) == (2, 0)
    assert json.loads((tmp_path / "run" / "begun.json").read_text())["outcome"]["seed"] == 42
    run(tmp_path)
    assert what_is_left(tmp_path) == unbroken
    assert threading.active_count() < 50


def test_a_finished_run_that_was_killed_before_it_tidied_up_is_tidied_up(tmp_path):
    run(tmp_path)
    left_over = tmp_path / "run"
    left_over.mkdir()
    (left_over / "lock").touch()
    (left_over / "checkpoint.pt").write_text("old")
    run(tmp_path)
    assert names(tmp_path) == FINISHED


def test_a_finished_run_that_failed_before_it_tidied_up_is_tidied_up(tmp_path):
    class Impatient:
        @ltcore.hookimpl
        def ltcore_run_finished(self, results):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ltcore.run(dict(SPEC), out=tmp_path, plugins=[Plugin(), Impatient()])
    assert names(tmp_path) == ["run", *FINISHED]
    run(tmp_path)
    assert names(tmp_path) == FINISHED


def test_a_folder_that_was_kept_on_request_stays(tmp_path):
    run(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.pt").write_text("kept")
    run(tmp_path)
    assert (tmp_path / "run" / "checkpoint.pt").exists()


def test_weights_are_as_open_to_others_as_the_results(tmp_path):
    run(tmp_path)
    modes = {name: (tmp_path / name).stat().st_mode for name in FINISHED}
    assert len(set(modes.values())) == 1, modes


def test_weights_that_share_their_place_are_written_each(tmp_path):
    from safetensors.torch import load_file

    model = torch.nn.ModuleDict({"one": torch.nn.Linear(3, 3), "two": torch.nn.Linear(3, 3)})
    model["two"].weight = model["one"].weight
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".tmpLeft").touch()
    publish_weights(model, tmp_path / "run.safetensors")
    weights = load_file(tmp_path / "run.safetensors")
    assert torch.equal(weights["one.weight"], weights["two.weight"])
    assert set(weights) == set(model.state_dict())
    assert not list((tmp_path / "run").iterdir())


WRITES = """
import re, sys
from pathlib import Path
import torch
from ltcore.publishing import Writing
from ltcore.ranks import Rank
from ltcore.running.checkpoints import Checkpoints, publish_weights
from ltcore.running.group import Group
from ltcore.running.training import EpochSums, TrainingState
from ltcore.stopping import StopRequest

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

out = Path(sys.argv[1])
model, cpu = torch.nn.Linear(5_000, 5_000), torch.device("cpu")
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cpu", enabled=False)
state = TrainingState(model, torch.nn.CrossEntropyLoss(), optimizer, scaler, EpochSums(cpu))
checkpoints = Checkpoints(
    out / "run" / "checkpoint.pt", Group(Rank(), cpu), minutes=1, stop=StopRequest()
)
small = TrainingState(torch.nn.Linear(1, 1), *[getattr(state, n) for n in (
    "criterion", "optimizer", "scaler", "sums"
)])
checkpoints.save(small)
publish_weights(small.model, out / "run.safetensors")
peaks = [peak()]
checkpoints.save(state)
peaks.append(peak())
publish_weights(model, out / "run.safetensors")
peaks.append(peak())
print(*(1024 * (after - before) // 1_000_000 for before, after in zip(peaks, peaks[1:])))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell")
def test_writing_takes_no_two_copies_of_the_model(tmp_path):
    """Of a model of 100 MB; a checkpoint takes none, and weights one before safetensors 0.8."""
    done = subprocess.run(
        [sys.executable, "-c", WRITES, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    checkpoint, weights = map(int, done.stdout.split())
    assert checkpoint < 20
    older = tuple(map(int, version("safetensors").split(".")[:2])) < (0, 8)
    assert weights < (120 if older else 20)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_happens_while_a_checkpoint_is_written_is_raised_as_it_is(
    tmp_path, monkeypatch, error
):
    """PyTorch's C++ would make another error of it."""

    class Disturbed(io.BytesIO):
        def write(self, content):
            raise error

    monkeypatch.setattr(Path, "open", lambda *_: Disturbed())
    with pytest.raises(type(error)) as caught, Writing(tmp_path / "checkpoint.tmp") as file:
        torch.save({"weight": torch.ones(100_000)}, file)
    assert caught.value is error
