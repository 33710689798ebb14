"""Small images decoded by several threads: each lands in its own place."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import ltcore
from ltcore_datasets.decoding import decode_images


@pytest.fixture
def paths(tmp_path):
    """1,500 paths over 7 images; image n is of the colour n."""
    for n in range(7):
        Image.new("RGB", (4, 4), (n, n, n)).save(tmp_path / f"{n}.png")
    return [tmp_path / f"{n % 7}.png" for n in range(1500)]


def test_images_come_in_the_order_of_the_paths(paths):
    images = decode_images(paths, side=4)
    assert images.shape == (1500, 3, 4, 4)
    assert np.array_equal(images[:, 0, 0, 0], np.arange(1500) % 7)


def test_grey_images_become_rgb(tmp_path):
    Image.new("L", (4, 4), 9).save(tmp_path / "grey.png")
    assert np.all(decode_images([tmp_path / "grey.png"], side=4) == 9)


def test_one_damaged_image_among_many_is_named(paths, tmp_path):
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ltcore.DataError, match=r"damaged\.png cannot be read as an image"):
        decode_images([*paths, damaged], side=4)


def test_no_image_is_an_empty_array():
    assert decode_images([], side=4).shape == (0, 3, 4, 4)
