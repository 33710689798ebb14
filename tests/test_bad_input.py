"""What a stranger types wrong, from the command line: the exit code, and a message that helps."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from ltcore.cli import main

SPEC = {
    "dataset": {
        "name": "synthetic",
        "classes": 4,
        "per_class": 8,
        "imbalance_factor": 0.5,
        "val_per_class": 2,
        "test_per_class": 4,
    },
    "backbone": "resnet32",
    "loss": "cross_entropy",
    "training": {"epochs": 1, "batch_size": 8},
}


@pytest.fixture
def attempt(tmp_path, capfd):
    """Run a spec with changes; the exit code and stderr."""

    def attempt(text: str | None = None, **changes) -> tuple[int, str]:
        path = tmp_path / "spec.json"
        path.write_text(text if text is not None else json.dumps({**SPEC, **changes}))
        code = main(["run", str(path), "--out", str(tmp_path / "out")])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        assert out == ""
        assert not list(tmp_path.glob("out/*.h5"))
        return code, err

    return attempt


@pytest.fixture
def image_root(tmp_path):
    """Class folders: two classes, six images each to train and test."""
    rng = np.random.default_rng(0)
    root = tmp_path / "images"
    for split in ("train", "val", "test"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for i in range(6):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{i}.png")
    return root


def test_no_such_file(tmp_path, capfd):
    assert main(["run", str(tmp_path / "nope.json")]) == 2
    assert "nope.json: no such file" in capfd.readouterr().err


def test_broken_json(attempt):
    code, err = attempt('{"dataset": "synthetic",\n "backbone" "resnet32"}')
    assert code == 2
    assert "spec.json: line 2, column 13: not JSON" in err


def test_unknown_name(attempt):
    code, err = attempt(loss="focl")
    assert code == 2
    assert "loss.name: no loss is called 'focl'. Did you mean 'focal'?" in err
    assert "Installed: balanced_softmax" in err
    assert "ltcore-losses" in err


def test_all_mistakes_at_once(attempt):
    code, err = attempt(
        loss={"name": "focal", "gamma": -1},
        backbone={"name": "resnet32", "wieghts": None},
        training={"epochs": 0, "bach_size": 8},
    )
    assert code == 2
    for field in ("loss.gamma", "backbone.wieghts", "training.epochs", "training.bach_size"):
        assert f"spec.json: {field}: " in err
    assert "'weights'" in err
    assert "'batch_size'" in err


def test_missing_data_root(attempt, tmp_path):
    code, err = attempt(dataset={"name": "cifar100_lt", "root": str(tmp_path / "nowhere")})
    assert code == 5
    assert str(tmp_path / "nowhere") in err
    assert "download" in err


def test_a_folder_with_one_class(attempt, tmp_path):
    (tmp_path / "images" / "train" / "cat").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "train" / "cat" / "1.png")
    code, err = attempt(dataset={"name": "image_folder", "root": str(tmp_path / "images")})
    assert code == 5
    assert "cat" in err


def test_an_unreadable_image(attempt, image_root):
    (image_root / "train" / "cat" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    code, err = attempt(dataset={"name": "image_folder", "root": str(image_root)})
    assert code == 5
    assert "3.png" in err


def test_a_class_with_no_image_left(attempt):
    data = {"name": "synthetic", "classes": 4, "per_class": 8, "imbalance_factor": 0.01}
    code, err = attempt(dataset=data, loss="balanced_softmax")
    assert code == 2
    assert "no training image" in err
    assert "imbalance factor" in err


def test_a_batch_larger_than_the_data(attempt):
    code, err = attempt(training={"batch_size": 1000})
    assert code == 2
    assert "training.batch_size: 1000 is more than the" in err


@pytest.mark.skipif(torch.cuda.device_count() > 9, reason="this machine has a tenth GPU")
def test_no_such_device(attempt):
    code, err = attempt(training={"device": "cuda:9"})
    assert code == 5
    assert "training.device: no device 'cuda:9' here. This machine has cpu" in err


def test_weights_that_do_not_fit(attempt, tmp_path):
    torch.save({"conv1.weight": torch.zeros(3, 3)}, tmp_path / "weights.pt")
    code, err = attempt(backbone={"name": "resnet32", "weights": str(tmp_path / "weights.pt")})
    assert code == 2
    assert "weights.pt" in err
    assert "conv1.weight" in err


def test_weights_that_are_not_there(attempt, tmp_path):
    code, err = attempt(
        backbone={"name": "resnet32", "weights": str(tmp_path / "nope.safetensors")}
    )
    assert code == 5
    assert "nope.safetensors" in err


def test_an_existing_result_of_another_spec(tmp_path, capfd):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({**SPEC, "name": "mine"}))
    run = ["run", str(path), "--out", str(tmp_path / "out")]
    assert main(run) == 0
    content = (tmp_path / "out" / "mine.h5").read_bytes()
    capfd.readouterr()
    assert main([*run, "--set", "loss=focal"]) == 2
    err = capfd.readouterr().err
    assert "loss.name: 'cross_entropy' there, 'focal' here" in err
    assert (tmp_path / "out" / "mine.h5").read_bytes() == content


def test_a_folder_in_place_of_the_spec(tmp_path, capfd):
    assert main(["run", str(tmp_path)]) == 2
    assert "cannot be read" in capfd.readouterr().err
