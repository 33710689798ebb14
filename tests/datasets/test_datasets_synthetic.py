"""The synthetic data set: its sizes, what depends on which seed, and its very bytes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import ltcore
from ltcore_datasets import Synthetic
from ltcore_datasets.textures import class_texture, paint

SMALL = {"classes": 3, "per_class": 12, "val_per_class": 2, "test_per_class": 6}

# The first 16 hex digits of the SHA-256 over ids and pixels of train, val and test: for ever.
GOLDEN = ["25941fbdd2810277", "25552fedfde8d98f", "5a97bb0418ca37ce"]


def build(seed=42, **parameters) -> ltcore.Splits:
    return Synthetic(**parameters).build(ltcore.Seeds(data=seed))


def digest(split: ltcore.Split) -> str:
    pixels = np.ascontiguousarray(split.images).tobytes()
    return hashlib.sha256("\n".join(split.ids).encode() + pixels).hexdigest()[:16]


def test_the_default_is_long_tailed():
    splits = build()
    assert splits.classes.counts.tolist() == [int(200 * 0.02 ** (r / 9)) for r in range(10)]
    assert (len(splits.train), len(splits.val), len(splits.test)) == (556, 200, 500)
    assert len(splits.test.views["balanced_tail"]) == 200
    assert splits.train.images.shape == (556, 3, 32, 32)


def test_its_bytes_never_change():
    splits = build(**SMALL)
    assert [digest(split) for split in (splits.train, splits.val, splits.test)] == GOLDEN


def test_another_data_seed_draws_other_training_images_and_no_other_test_images():
    first, other = build(1), build(2)
    assert first.train.ids.tolist() != other.train.ids.tolist()
    assert digest(first.val) == digest(other.val)
    assert digest(first.test) == digest(other.test)


def test_a_picture_does_not_depend_on_how_many_there_are():
    few, many = build(**SMALL), build(**{**SMALL, "classes": 5, "per_class": 30})
    shared, here, there = np.intersect1d(few.train.ids, many.train.ids, return_indices=True)
    assert len(shared) == len(few.train)
    assert np.array_equal(few.train.images[here], many.train.images[there])


def test_the_splits_have_no_picture_in_common():
    splits = build(**SMALL)
    pictures = [
        image.tobytes()
        for split in (splits.train, splits.val, splits.test)
        for image in split.images
    ]
    assert len(set(pictures)) == len(pictures)


def test_without_noise_a_picture_is_its_class_s_texture_moved():
    picture = paint("train", 3, 0, size=32, noise=0.0).astype(float) - 128
    texture = class_texture(3, 32)
    likeness = [
        np.corrcoef(np.roll(t, (dy, dx), axis=(0, 1)).ravel(), picture.ravel())[0, 1]
        for t in (texture, texture[:, ::-1])
        for dy in range(-4, 5)
        for dx in range(-4, 5)
    ]
    assert max(likeness) > 0.999


def test_noise_covers_the_texture():
    bare, noisy = (paint("train", 0, 0, size=32, noise=n).astype(float) for n in (0.0, 2.0))
    assert np.corrcoef(bare.ravel(), noisy.ravel())[0, 1] < 0.7


@pytest.mark.parametrize("size", [8, 48])
def test_pictures_have_the_size_that_is_asked_for(size):
    assert build(**SMALL, size=size).test.images.shape == (18, 3, size, size)
