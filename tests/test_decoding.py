"""Image files -> one array: sizes, modes, order, and files that are no images."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import ltcore
from ltcore.running import decoding
from ltcore.running.decoding import decode_images, fit_images, stored_side


def decoded(files, size):
    return decode_images(files, stored_side(files, size))


@pytest.fixture
def save(tmp_path):
    def save(name, pixels, mode=None):
        image = Image.fromarray(np.asarray(pixels, dtype=np.uint8))
        (image.convert(mode) if mode else image).save(tmp_path / name)
        return str(tmp_path / name)

    return save


def test_what_is_queued_is_given_up_where_one_image_is_bad(monkeypatch):
    opened, given_up = [], threading.Event()

    def bad(array, index, path):
        opened.append(path)
        if index:
            given_up.wait(60)  # what is under way lasts until then, however slow the machine
        raise ltcore.DataError(path)

    class Threads(ThreadPoolExecutor):
        def shutdown(self, wait=True, *, cancel_futures=False):
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            given_up.set()
            super().shutdown(wait)

    monkeypatch.setattr(decoding, "decode_into", bad)
    monkeypatch.setattr(decoding, "ThreadPoolExecutor", Threads)
    with pytest.raises(ltcore.DataError, match="0.png"):
        decode_images(ltcore.ImageFiles(tuple(f"{n}.png" for n in range(5000))), 8)
    assert len(opened) < 100


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3))


def test_small_squares_of_one_size_are_kept_in_order(save):
    pictures = [noise(8, 8, seed) for seed in range(20)]
    paths = tuple(save(f"{i}.png", p) for i, p in enumerate(pictures))
    array = decoded(ltcore.ImageFiles(paths), 32)
    assert array.shape == (20, 3, 8, 8)
    assert np.array_equal(array.transpose(0, 2, 3, 1), pictures)


def test_others_are_cropped_to_the_centre_and_resized(save):
    grey = np.full((20, 40, 3), 100)
    grey[:, 10:30] = 200  # the central square
    paths = (save("wide.png", grey), save("small.png", noise(6, 6)))
    array = decoded(ltcore.ImageFiles(paths), 16)
    assert array.shape == (2, 3, 16, 16)
    assert (array[0, :, :, 1:-1] == 200).all()  # at the edge bilinear weights reach across


def test_shrinking_is_antialiased(save):
    stripes = np.zeros((64, 64, 3))
    stripes[:, ::2] = 255
    array = decoded(ltcore.ImageFiles((save("stripes.png", stripes),)), 16)
    assert array.min() > 100
    assert array.max() < 155


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_every_mode_becomes_rgb(save, mode):
    path = save("x.png", np.full((8, 8, 3), 255), mode)
    array = decoded(ltcore.ImageFiles((path,)), 8)
    assert array.shape == (1, 3, 8, 8)
    assert (array == 255).all()


@pytest.mark.parametrize("damage", ["text", "cut"])
def test_a_file_that_is_no_image_is_named(save, tmp_path, damage):
    good = save("good.png", noise(64, 64))
    bad = tmp_path / "bad.png"
    content = (tmp_path / "good.png").read_bytes()
    bad.write_bytes(b"hello" if damage == "text" else content[: len(content) // 2])
    with pytest.raises(ltcore.DataError, match=r"bad\.png"):
        decoded(ltcore.ImageFiles((good, str(bad))), 8)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ltcore.DataError, match=r"none\.png: no such file"):
        decoded(ltcore.ImageFiles((str(tmp_path / "none.png"),)), 8)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (31, 20), (20, 31), (64, 20), (12, 40)])
def test_large_arrays_become_what_files_of_them_would(save, height, width, channels_last):
    pictures = np.stack([noise(height, width, seed) for seed in range(5)]).astype(np.uint8)
    paths = tuple(save(f"{i}.png", p) for i, p in enumerate(pictures))
    images = pictures.transpose(0, 3, 1, 2)
    images = images if channels_last else np.ascontiguousarray(images)
    side = min(16, height, width)

    fitted = fit_images(images, 16)

    assert fitted.shape == (5, 3, side, side)
    assert np.array_equal(fitted, decode_images(ltcore.ImageFiles(paths), side))


def test_large_squares_are_made_smaller_as_pillow_does():
    picture = noise(64, 64).astype(np.uint8)
    expected = Image.fromarray(picture).resize((20, 20), Image.Resampling.BILINEAR)
    (fitted,) = fit_images(picture.transpose(2, 0, 1)[None], 20)
    assert np.array_equal(fitted.transpose(1, 2, 0), np.asarray(expected))


@pytest.mark.parametrize("size", [8, 9, 224])
def test_square_arrays_up_to_the_size_are_kept_themselves(size):
    images = noise(8, 8)[None].astype(np.uint8).transpose(0, 3, 1, 2)
    assert fit_images(images, size) is images


def test_arrays_that_may_not_be_written_to_are_fitted():
    images = np.broadcast_to(np.uint8(7), (2, 3, 12, 10))
    assert (fit_images(images, 4) == 7).all()
