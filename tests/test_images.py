"""Images held in memory or streamed from their files: the same bytes, and bounded memory."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
import torch
from PIL import Image

import ltcore
from ltcore.running import images as module
from ltcore.running.decoding import decode_images
from ltcore.running.images import (
    AHEAD,
    HeldImages,
    StreamedImages,
    machine_memory,
    open_images,
)
from tests.interrupted_runs import run, what_is_left

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of two classes, of several sizes, as `image_folder` takes them."""
    root, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for split, n in (("train", 12), ("val", 3), ("test", 5)):
        for name, level in (("dark", 40), ("light", 200)):
            place = root / split / name
            place.mkdir(parents=True)
            for number in range(n):
                shape = (18 + number, 20, 3)
                pixels = random.integers(level - 40, level + 40, shape).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    return root


def spec_of(folder, **training):
    return {
        "name": "run",
        "dataset": {"name": "image_folder", "root": str(folder)},
        "transform": {"size": 16},
        "backbone": "small_net",
        "loss": "focal",
        "training": {"epochs": 2, "batch_size": 5, "device": "cpu", **training},
    }


def files_of(folder):
    return ltcore.ImageFiles(tuple(str(path) for path in sorted(folder.rglob("*.png"))))


def test_streamed_runs_are_held_ones_to_the_byte(tmp_path, folder):
    run(tmp_path / "held", spec_of(folder))
    run(tmp_path / "streamed", spec_of(folder, image_gb=0.0))
    assert what_is_left(tmp_path / "held") == what_is_left(tmp_path / "streamed")


def test_images_are_streamed_where_they_do_not_fit(folder):
    files = files_of(folder)
    needed = len(files) * 16 * 16 * 3
    assert isinstance(open_images(files, 16, CPU, needed), HeldImages)
    assert isinstance(open_images(files, 16, CPU, needed - 1), StreamedImages)
    assert open_images(files, 16, CPU, needed).held_bytes == needed
    assert isinstance(open_images(np.zeros((1, 3, 4, 4), np.uint8), 16, CPU, 0), HeldImages)


@pytest.mark.parametrize(("size", "side"), [(4, 4), (5, 5), (6, 5), (16, 5)])
def test_arrays_are_held_at_the_size_of_the_run_at_most(size, side):
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 5, 5)).astype(np.uint8)
    held = open_images(images, size, CPU, 0)
    (batch,) = held.batches([torch.arange(3)])
    assert batch.shape == (3, 3, side, side)
    assert held.held_bytes == 3 * 3 * side**2


def test_held_batches_are_the_images_asked_for_in_any_order_of_memory():
    planes = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6)).astype(np.uint8)
    pixels = np.ascontiguousarray(planes.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    order = torch.tensor([3, 0, 3])

    for images in (planes, pixels):
        (batch,) = HeldImages(images, CPU).batches([order])
        assert torch.equal(batch, torch.from_numpy(planes[order]))


def test_streamed_batches_are_the_images_in_the_order_asked_for(folder):
    files = files_of(folder)
    expected = torch.from_numpy(decode_images(files, 16).copy())
    indices = torch.randperm(len(files)).split(7)
    batches = StreamedImages(files, 16, CPU).batches(indices)
    for index, batch in zip(indices, batches, strict=True):
        assert torch.equal(batch, expected[index])


def test_few_batches_are_decoded_ahead(folder, monkeypatch):
    files, begun = files_of(folder), []

    def noted(array, place, path):
        begun.append(path)

    monkeypatch.setattr(module, "decode_into", noted)
    batches = StreamedImages(files, 16, CPU).batches(torch.arange(len(files)).split(4))
    for number, _ in enumerate(batches):
        time.sleep(0.02)  # for a thread that would run ahead
        assert len(begun) <= 4 * (number + 1 + AHEAD)
    assert len(begun) == len(files)


def test_a_file_that_has_gone_since_is_named(tmp_path, folder):
    path = tmp_path / "gone.png"
    Image.new("RGB", (16, 16)).save(path)
    images = StreamedImages(ltcore.ImageFiles((str(path),)), 16, CPU)
    path.unlink()
    with pytest.raises(ltcore.DataError, match="gone.png: no such file"):
        next(images.batches([torch.arange(1)]))


def test_machine_memory_is_at_most_the_machine_s(tmp_path, monkeypatch):
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < machine_memory() <= whole
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(module, "_CGROUP_LIMITS", (str(limit), str(tmp_path / "none")))
    limit.write_text("1000\n")
    assert machine_memory() == 1000
    limit.write_text("max\n")
    assert machine_memory() == whole
