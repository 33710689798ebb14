"""Results files: written whole, verified before they are parsed, and read from any program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import ltcore
from ltcore.predictions import Predictions

K, N = 3, 12


def predictions(prefix="test", n=N, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, K)).astype(np.float32)
    ids = np.array([f"{prefix}/ä/{i}.png" for i in range(n)])
    views = {"balanced": np.arange(n), "tail": np.array([2, 5]), "few": np.empty(0, dtype=np.int64)}
    return Predictions.from_logits(logits, np.arange(n) % K, ids, views if prefix == "test" else {})


def results(**changes):
    spec = ltcore.RunSpec.model_validate_json(
        '{"dataset": "cifar100_lt", "backbone": "resnet50", "loss": {"name": "focal", "gamma": 1}}'
    )
    whole = ltcore.Results(
        spec=spec,
        name="mine",
        classes=ltcore.Classes(
            ("apple", "ü", "本"), np.array([3, 2, 1]), np.array([0, 1, 2], dtype=np.uint8)
        ),
        test=predictions(),
        val=predictions("val", 6, 1),
        last={"test": predictions("test", N, 2), "val": predictions("val", 6, 3)},
        train_ids=np.array([f"train/{i}" for i in range(6)]),
        history={"epoch": np.arange(2), "lr": np.array([0.1, 0.01])},
        best_epoch=1,
        selection="val",
        trained_prior="train",
        parameters=7,
        seconds=1.5,
        ltcore_version="0.1.0",
        plugins={"ltcore-losses": "0.1.0"},
        environment={"torch": "2.11", "threads": 2},
        created="2026-01-01T00:00:00+00:00",
    )
    return replace(whole, **changes)


def equal(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, Predictions | ltcore.Classes):
        return all(equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    return a == b


def test_every_field_comes_back(tmp_path):
    written = results()
    read = ltcore.read_results(ltcore.write_results(written, tmp_path / "mine.h5"))
    assert read.verified
    for field in fields(written):
        if field.name not in ("path", "verified"):
            assert equal(getattr(written, field.name), getattr(read, field.name)), field.name
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.h5"]


def test_test_only_leaves_the_rest(tmp_path):
    path = ltcore.write_results(results(), tmp_path / "mine.h5")
    read = ltcore.read_results(path, test_only=True)
    assert (read.val, read.train_ids, dict(read.last)) == (None, None, {})


def test_one_flipped_or_missing_byte_anywhere_is_refused(tmp_path, monkeypatch):
    path = ltcore.write_results(results(), tmp_path / "mine.h5")
    content = path.read_bytes()
    monkeypatch.setattr(h5py, "File", lambda *a, **k: pytest.fail("HDF5 parsed a damaged file"))
    rng = np.random.default_rng(0)
    for position in [*range(0, 600, 8), *rng.integers(0, len(content), 60)]:
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        with pytest.raises(ltcore.ResultsFileError, match=r"mine\.h5: "):
            ltcore.read_results(path)
    for length in rng.integers(0, len(content), 20):
        path.write_bytes(content[:length])
        with pytest.raises(ltcore.ResultsFileError, match=r"mine\.h5: "):
            ltcore.read_results(path)


def foreign(path, **changes):
    """A file as another program writes it: the least that a reader needs."""
    with h5py.File(path, "w") as file:
        file.attrs["format"] = changes.pop("format", "ltcore-results")
        file.attrs["schema_version"] = changes.pop("schema_version", 1)
        file.attrs["spec"] = json.dumps({"dataset": "d", "backbone": "b", "loss": "l"})
        file["classes/name"] = ["a", "b", "c"]
        file["classes/count"] = [3, 2, 1]
        file["classes/group"] = [0, 1, 2]
        logits = changes.pop("logits", np.eye(3)[[0, 1, 2, 0]])
        file.create_dataset("test/logits", data=logits, compression="gzip")
        file["test/prediction"] = changes.pop("prediction", [0, 1, 2, 0])
        file["test/label"] = changes.pop("label", [0, 1, 1, 2])
        file["test/id"] = changes.pop("id", ["1", "2", "3", "4"])
        file["test/views/balanced"] = changes.pop("view", [0, 1, 2, 3])
    assert not changes
    return path


def test_a_file_of_another_program_is_read_and_unverified(tmp_path):
    read = ltcore.read_results(foreign(tmp_path / "f.h5"))
    assert not read.verified
    assert read.test.logits.dtype == np.float32
    assert read.test.label.tolist() == [0, 1, 1, 2]
    assert read.spec.loss.name == "l"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 99}, "schema version 99.*Install a newer ltcore"),
        ({"schema_version": 0}, "should be 1 or more"),
        ({"format": "other"}, "no results file of ltcore"),
        ({"prediction": [0, 1, 2, 1]}, "is not the argmax"),
        ({"label": [0, 1, 1, 3]}, r"/test/label is not in \[0, 3\)"),
        ({"id": ["1", "2", "3", "3"]}, "holds an image twice"),
        ({"view": [0, 4]}, "reaches outside the 4 images"),
        ({"view": [-1]}, "reaches outside the 4 images"),
        ({"logits": np.full((4, 3), np.nan)}, "holds a NaN or an infinity"),
        ({"logits": np.zeros((4, 2))}, r"should be float32 \(4, 3\)"),
    ],
)
def test_a_file_that_breaks_the_schema_is_refused(tmp_path, changes, message):
    with pytest.raises(ltcore.ResultsFileError, match=rf"f\.h5: .*{message}"):
        ltcore.read_results(foreign(tmp_path / "f.h5", **changes))


@pytest.mark.parametrize("kind", ["soft", "external", "storage", "virtual", "giant", "objects"])
def test_a_crafted_file_is_refused(tmp_path, kind):
    path = foreign(tmp_path / "f.h5")
    with h5py.File(path, "r+") as file:
        del file["test/logits"]
        test = file["test"]
        if kind == "soft":
            test["logits"] = h5py.SoftLink("/classes/count")
        elif kind == "external":
            test["logits"] = h5py.ExternalLink("/etc/hostname", "/x")
        elif kind == "storage":
            outside = [("/etc/passwd", 0, 48)]
            test.create_dataset("logits", (4, 3), "f4", external=outside)
        elif kind == "virtual":
            layout = h5py.VirtualLayout((4, 3), "f4")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (4, 3))
            test.create_virtual_dataset("logits", layout)
        elif kind == "giant":
            test.create_dataset("logits", (2**40, 3), "f4", chunks=(1024, 3))[0] = 1
        else:
            test.create_dataset("logits", (4, 3), h5py.special_dtype(ref=h5py.Reference))
    with pytest.raises(ltcore.ResultsFileError, match=r"f\.h5: .*test"):
        ltcore.read_results(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n" + b"\0" * 1000])
def test_something_else_is_refused_by_name(tmp_path, content):
    (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(ltcore.ResultsFileError, match=r"x\.h5: "):
        ltcore.read_results(tmp_path / "x.h5")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ltcore.ResultsFileError, match=r"no\.h5: no such file"):
        ltcore.read_results(tmp_path / "no.h5")
    with pytest.raises(ltcore.ResultsFileError, match="not a file"):
        ltcore.read_results(tmp_path)


def test_predictions_that_score_an_image_twice_are_not_written(tmp_path):
    twice = replace(predictions(), id=np.array(["same"] * N))
    with pytest.raises(ltcore.ResultsFileError, match="not written: .*holds an image twice"):
        ltcore.write_results(results(test=twice), tmp_path / "mine.h5")
    assert list(tmp_path.iterdir()) == []


def test_logits_that_are_not_finite_are_not_written(tmp_path):
    test = predictions()
    test.logits[0, 0] = np.inf
    bad = Predictions.from_logits(test.logits, test.label, test.id, test.views)
    with pytest.raises(ltcore.NonFiniteError, match="not written"):
        ltcore.write_results(results(test=bad), tmp_path / "mine.h5")


def test_a_tie_is_predicted_as_the_lowest_index():
    tied = Predictions.from_logits(
        np.ones((2, 3), np.float32), np.zeros(2, int), np.array(["a", "b"])
    )
    assert tied.prediction.tolist() == [0, 0]


def test_the_content_is_on_disk_before_its_name(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, real=real, name=name, **k: (done.append(name), real(*a, **k))[1]
        )
    ltcore.write_results(results(), tmp_path / "mine.h5")
    assert done == ["fsync", "replace", "fsync"]


def test_a_full_disk_leaves_the_old_file(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.name != "posix" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    try:
        path = ltcore.write_results(results(), disk / "mine.h5")
        before = path.read_bytes()
        large = replace(
            results(),
            train_ids=None,
            classes=replace(results().classes, counts=np.array([90000, 2, 1])),
            val=predictions("val", 90000),
        )
        with pytest.raises(
            ltcore.SurroundingsError, match=r"mine\.h5: the disk is full; [\d,]+ bytes"
        ):
            ltcore.write_results(large, path)
        assert path.read_bytes() == before
        assert list(disk.iterdir()) == [path]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_kill_at_any_moment_leaves_no_partial_file(tmp_path):
    program = textwrap.dedent("""
        import sys
        sys.path.insert(0, sys.argv[1])
        import test_results, ltcore
        print("ready", flush=True)
        while True:
            ltcore.write_results(test_results.results(), sys.argv[2])
    """)
    path = tmp_path / "mine.h5"
    rng = np.random.default_rng(0)
    for _ in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(Path(__file__).parent), path],
            stdout=subprocess.PIPE,
        )
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert not path.exists() or ltcore.read_results(path).verified
    ltcore.write_results(results(), path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "prefix", ["", "tête ", "日本 "], ids=["ascii", "two bytes", "three bytes"]
)
def test_strings_take_as_many_bytes_as_the_longest_has(tmp_path, prefix):
    narrow = results()
    ids = np.array([f"{prefix}{name}" for name in narrow.test.id])
    files = []
    for number, of in enumerate((ids, ids.astype("U300"), ids[::-1][::-1])):
        test = replace(narrow.test, id=of)
        path = ltcore.write_results(replace(narrow, test=test), tmp_path / f"{number}.h5")
        assert ltcore.read_results(path).test.id.tolist() == ids.tolist()
        with h5py.File(path) as file:
            assert file["test/id"].dtype.itemsize == max(len(name.encode()) for name in ids)
        files.append(path.read_bytes())
    assert len(set(files)) == 1
