"""The image transform against a naive one, image by image, and its independence of the batch."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ltcore.components import IMAGENET_NORMALIZATION, Normalization
from ltcore.running.augmentation import NORMALIZATIONS, Augmentation
from ltcore.running.randomness import Purpose, random_bits
from ltcore.spec import Transform

SEED, EPOCH = 7, 3
CPU = torch.device("cpu")
BACKBONE = SimpleNamespace(normalization=Normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))


def augmentation(*, seed: int = SEED, device: torch.device = CPU, **transform) -> Augmentation:
    return Augmentation(Transform(**transform), BACKBONE, seed=seed, device=device)


def trained(transform: Augmentation, images: Tensor, index: Tensor, epoch: int = EPOCH) -> Tensor:
    return transform.train(images, transform.draw(index, epoch))


def pictures(n: int, height: int = 32, width: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=generator)


def drawn(index: int, purpose: Purpose, below: int) -> int:
    return int(random_bits(SEED, EPOCH, torch.tensor([index]), purpose)) * below // 2**31


def naive(image: Tensor, index: int, transform: Transform) -> Tensor:
    """Resize, pad with black, crop, flip and normalise one image, in float64."""
    size, padding = transform.size, transform.crop_padding
    pixels = image.double()
    if image.shape[1:] != (size, size):
        pixels = F.interpolate(pixels[None], (size, size), mode="bilinear")[0]
    canvas = torch.zeros(3, size + 2 * padding, size + 2 * padding, dtype=torch.float64)
    canvas[:, padding : padding + size, padding : padding + size] = pixels
    top = drawn(index, Purpose.SHIFT_DOWN, 2 * padding + 1)
    left = drawn(index, Purpose.SHIFT_RIGHT, 2 * padding + 1)
    pixels = canvas[:, top : top + size, left : left + size]
    if drawn(index, Purpose.FLIP, 2**31) < transform.horizontal_flip * 2**31:
        pixels = pixels.flip(2)
    mean, std = torch.tensor(NORMALIZATIONS["study"], dtype=torch.float64)
    return (pixels / 255 - mean[:, None, None]) / std[:, None, None]


@pytest.mark.parametrize(
    ("height", "width", "transform"),
    [
        (32, 32, {"size": 32}),
        (32, 32, {"size": 48}),
        (28, 28, {"size": 64, "crop_padding": 9}),
        (20, 31, {"size": 32}),
        (32, 32, {"size": 32, "crop_padding": 0, "horizontal_flip": 0.0}),
        (8, 8, {"size": 8, "crop_padding": 20, "horizontal_flip": 1.0}),
        (1, 1, {"size": 1, "crop_padding": 0}),
        (4, 6, {"size": 8, "crop_padding": 8}),  # windows of the corners, and of black alone
        (31, 20, {"size": 32, "crop_padding": 40, "horizontal_flip": 1.0}),
        (1, 3, {"size": 6}),
    ],
)
def test_train_agrees_with_the_naive_transform(height, width, transform):
    images = pictures(40, height, width)
    index = torch.randperm(1000, generator=torch.Generator().manual_seed(1))[:40]

    ours = trained(augmentation(**transform), images, index)

    each = zip(images, index.tolist(), strict=True)
    reference = torch.stack([naive(image, i, Transform(**transform)) for image, i in each])
    torch.testing.assert_close(ours.double(), reference, rtol=0, atol=1e-5)


def test_evaluate_only_resizes_and_normalizes():
    images = pictures(5, 20, 31)
    transform = {"size": 32, "crop_padding": 0, "horizontal_flip": 0.0}

    ours = augmentation(size=32).evaluate(images)

    reference = torch.stack([naive(image, 0, Transform(**transform)) for image in images])
    torch.testing.assert_close(ours.double(), reference, rtol=0, atol=1e-5)


def test_pixels_of_the_asked_size_are_exact():
    images = pictures(8)
    transform = augmentation(size=32, normalize={"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)})

    pixels = (transform.evaluate(images).double() * 255).round()

    assert torch.equal(pixels.to(torch.uint8), images)
    assert transform.evaluate(images).unique().numel() == 256


# With four threads the matrix products of oneDNN round a batch of one 13 x 17 image differently.
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("channels_last", [False, True], ids=["planes", "channels last"])
@pytest.mark.parametrize(
    ("height", "width", "size", "n"),
    [
        (32, 32, 32, 128),
        (32, 32, 48, 16),
        (13, 17, 40, 16),
        (28, 28, 224, 8),
        (224, 224, 224, 3),
        (44, 36, 60, 8),
        (1, 3, 8, 16),
    ],
)
def test_an_image_comes_out_the_same_whatever_its_batch(
    height, width, size, n, channels_last, threads
):
    images = pictures(n, height, width)
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    transform, index = augmentation(size=size), torch.arange(n)

    def image_by_image(batch_size: int) -> list[bytes]:
        each = list(zip(images.split(batch_size), index.split(batch_size), strict=True))
        train = torch.cat([trained(transform, *batch) for batch in each])
        test = torch.cat([transform.evaluate(batch) for batch, _ in each])
        return [hashlib.sha256(image.contiguous().numpy()).digest() for image in (*train, *test)]

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        expected = image_by_image(1)
        for batch_size in (2, 3, 7, 64, n):
            assert image_by_image(batch_size) == expected
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("side", "size"), [(32, 32), (32, 224), (224, 224), (100, 224)])
def test_threads_and_the_order_of_memory_change_nothing(side, size):
    images, transform = pictures(6, side, side), augmentation(size=size)
    before = torch.get_num_threads()

    def ours(threads: int, memory_format: torch.memory_format) -> Tensor:
        torch.set_num_threads(threads)
        arranged = images.contiguous(memory_format=memory_format)
        return torch.stack(
            [trained(transform, arranged, torch.arange(6)), transform.evaluate(arranged)]
        )

    try:
        expected = ours(1, torch.contiguous_format)
        for threads in (1, 2, 4):
            assert torch.equal(ours(threads, torch.contiguous_format), expected)
            assert torch.equal(ours(threads, torch.channels_last), expected)
    finally:
        torch.set_num_threads(before)


def test_train_does_not_depend_on_the_order_of_the_batch():
    images, index = pictures(50), torch.arange(50)
    shuffled = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    transform = augmentation(size=48)

    ours = trained(transform, images[shuffled], index[shuffled])

    assert torch.equal(ours, trained(transform, images, index)[shuffled])


def test_equal_pictures_at_different_indices_come_out_differently():
    images = pictures(1).expand(500, -1, -1, -1)

    ours = trained(augmentation(size=32), images, torch.arange(500))

    # 9 * 9 crops, flipped or not
    assert len({image.numpy().tobytes() for image in ours}) > 150


@pytest.mark.parametrize("change", [{"epoch": EPOCH + 1}, {"seed": SEED + 1}])
def test_train_changes_with_epoch_and_seed(change):
    images, index = pictures(100), torch.arange(100)
    other = augmentation(size=32, seed=change.get("seed", SEED))

    ours = trained(augmentation(size=32), images, index)
    others = trained(other, images, index, change.get("epoch", EPOCH))

    assert (ours != others).flatten(1).any(dim=1).sum() > 90


@pytest.mark.parametrize(
    ("probability", "low", "high"), [(0.0, 0, 0), (0.25, 200, 300), (1.0, 1000, 1000)]
)
def test_flips_happen_with_their_probability(probability, low, high):
    image = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    image[..., 0] = 255
    transform = augmentation(size=4, crop_padding=0, horizontal_flip=probability)

    ours = trained(transform, image.expand(1000, -1, -1, -1), torch.arange(1000))

    assert low <= int((ours[:, 0, 0, 0] < ours[:, 0, 0, 3]).sum()) <= high


def test_every_crop_is_about_as_frequent():
    image = torch.zeros(1, 3, 9, 9, dtype=torch.uint8)
    image[..., 4, 4] = 255  # in the middle, so that it stays in the picture
    transform = augmentation(size=9, crop_padding=4, horizontal_flip=0.0)

    ours = trained(transform, image.expand(8100, -1, -1, -1), torch.arange(8100))

    where = ours[:, 0].flatten(1).argmax(dim=1)
    assert torch.bincount(where, minlength=81).min() > 50
    assert torch.bincount(where).max() < 150


def test_padding_is_black_before_normalization():
    transform = augmentation(size=8, crop_padding=8, horizontal_flip=0.0)
    white = torch.full((200, 3, 8, 8), 255, dtype=torch.uint8)

    red = trained(transform, white, torch.arange(200))[:, 0]

    mean, std = NORMALIZATIONS["study"].mean[0], NORMALIZATIONS["study"].std[0]
    expected = torch.tensor([-mean / std, (1 - mean) / std])
    torch.testing.assert_close(red.unique(), expected)


@pytest.mark.parametrize(
    ("normalize", "mean", "std"),
    [
        ("study", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        ("cifar100", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
        ("imagenet", IMAGENET_NORMALIZATION.mean, IMAGENET_NORMALIZATION.std),
        ("backbone", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
        ({"mean": (0.0, 0.5, 1.0), "std": (1.0, 2.0, 3.0)}, (0.0, 0.5, 1.0), (1.0, 2.0, 3.0)),
    ],
)
def test_normalization_is_the_named_one(normalize, mean, std):
    images = pictures(4)

    ours = augmentation(size=32, normalize=normalize).evaluate(images)

    mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (mean, std))
    torch.testing.assert_close(ours.double(), (images / 255.0 - mean) / std, rtol=0, atol=2e-6)


@pytest.mark.parametrize("size", [32, 48])
def test_batches_are_float32_and_channels_last_under_an_outer_autocast(size):
    transform, images = augmentation(size=size), pictures(4)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = [trained(transform, images, torch.arange(4)), transform.evaluate(images)]

    outside = [trained(transform, images, torch.arange(4)), transform.evaluate(images)]
    for inside, expected in zip(ours, outside, strict=True):
        assert inside.dtype == torch.float32
        assert inside.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(inside, expected)


def test_training_goes_on_after_an_evaluation_in_inference_mode():
    transform, images = augmentation(size=45), pictures(4)  # a size that no other test has
    with torch.inference_mode():
        tested = transform.evaluate(images)

    ours = trained(transform, images, torch.arange(4)).requires_grad_()
    ours.square().sum().backward()

    assert tested.is_inference()
    assert torch.equal(ours.grad, 2 * ours)


def test_a_transform_without_size_is_refused():
    with pytest.raises(ValueError, match="the transform of a resolved spec has a size"):
        augmentation()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("size", [32, 48, 224])
def test_a_gpu_gives_the_same_whatever_the_batch(size):
    images, index, gpu = pictures(64).cuda(), torch.arange(64).cuda(), torch.device("cuda")
    transform = augmentation(size=size, device=gpu)

    whole = trained(transform, images, index)

    for batch_size in (1, 3, 7):
        each = zip(images.split(batch_size), index.split(batch_size), strict=True)
        assert torch.equal(torch.cat([trained(transform, *one) for one in each]), whole)
    on_cpu = trained(augmentation(size=size), images.cpu(), index.cpu())
    torch.testing.assert_close(whole.cpu(), on_cpu, rtol=0, atol=1e-4)
