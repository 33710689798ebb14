"""Augmentation against a naive reference, and what it depends on: seed, epoch and index alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ltcore.components import IMAGENET_NORMALIZATION
from ltcore.running.augmentation import NORMALIZATIONS, Augmentation
from ltcore.running.randomness import Purpose, random_bits
from ltcore.spec import Transform

CPU = torch.device("cpu")


class Weights:
    normalization = IMAGENET_NORMALIZATION


def augmentation(seed=42, **transform):
    return Augmentation(Transform(**{"size": 8, **transform}), Weights(), seed=seed, device=CPU)


def pictures(n=16, side=8, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (n, 3, side, side), dtype=np.uint8))


def naive(image, index, epoch, *, size, padding, flip, seed):
    """One image at a time: resize, pad, crop, flip, scale to [0, 1], normalise."""

    def draw(purpose):
        return int(random_bits(seed, epoch, torch.tensor([index]), purpose))

    pixels = image[None].float()
    if image.shape[-1] != size:
        pixels = F.interpolate(pixels, (size, size), mode="bilinear", align_corners=False)
    padded = F.pad(pixels, [padding] * 4)[0]
    top = draw(Purpose.SHIFT_DOWN) * (2 * padding + 1) >> 31
    left = draw(Purpose.SHIFT_RIGHT) * (2 * padding + 1) >> 31
    cropped = padded[:, top : top + size, left : left + size]
    if draw(Purpose.FLIP) < flip * 2**31:
        cropped = cropped.flip(2)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in NORMALIZATIONS["study"])
    return (cropped / 255 - mean) / std


@pytest.mark.parametrize(("side", "size"), [(8, 8), (8, 20)])
def test_train_is_the_naive_pipeline(side, size):
    images, index = pictures(side=side), torch.arange(100, 116)
    result = augmentation(size=size).train(images, index, epoch=3)
    assert result.shape == (16, 3, size, size)
    assert result.dtype == torch.float32
    assert result.is_contiguous(memory_format=torch.channels_last)
    for image, i, got in zip(images, index.tolist(), result, strict=True):
        expected = naive(image, i, 3, size=size, padding=4, flip=0.5, seed=42)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("side", "size"), [(32, 32), (32, 48), (40, 32)])
def test_an_image_is_the_same_in_any_batch(side, size):
    images, index = pictures(64, side), torch.arange(64)
    whole = augmentation(size=size).train(images, index, epoch=1)
    for batch in (1, 3, 7):
        pieces = [
            augmentation(size=size).train(i, n, epoch=1)
            for i, n in zip(images.split(batch), index.split(batch), strict=True)
        ]
        assert torch.equal(torch.cat(pieces), whole)


def test_equal_pictures_at_different_indices_come_out_differently():
    same = pictures(1).expand(64, -1, -1, -1)
    result = augmentation().train(same, torch.arange(64), epoch=0)
    assert len({picture.numpy().tobytes() for picture in result}) > 40


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}])
def test_seed_and_epoch_change_the_draws(change):
    images, index = pictures(), torch.arange(16)
    first = augmentation(seed=42).train(images, index, epoch=0)
    other = augmentation(seed=change.get("seed", 42)).train(images, index, change.get("epoch", 0))
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("probability", "flipped"), [(0.0, False), (1.0, True)])
def test_flip_probabilities_0_and_1_are_certain(probability, flipped):
    images = pictures()
    plain = augmentation(crop_padding=0, horizontal_flip=probability)
    result = plain.train(images, torch.arange(16), epoch=0)
    expected = plain.evaluate(images.flip(3) if flipped else images)
    assert torch.equal(result, expected)


@pytest.mark.parametrize(
    ("normalize", "statistics"),
    [
        ("study", ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))),
        ("cifar100", ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))),
        ("imagenet", ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))),
        ("backbone", ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))),
    ],
)
def test_evaluate_normalises(normalize, statistics):
    images = pictures()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in statistics)
    result = augmentation(normalize=normalize).evaluate(images)
    torch.testing.assert_close(result, (images / 255 - mean) / std, rtol=1e-5, atol=1e-5)


def test_pixels_are_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        inside = augmentation(size=20).train(pictures(), torch.arange(16), epoch=0)
    assert torch.equal(inside, augmentation(size=20).train(pictures(), torch.arange(16), epoch=0))
