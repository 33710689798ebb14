"""Augmentation of a batch, by ltcore at once and by Pillow image after image; on one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import ltcore
from benchmarks.comparison import Comparison, Options, Ratio
from benchmarks.peers import pil_transform
from benchmarks.timing import seconds, threads
from ltcore.resolution import resolve
from ltcore.running.augmentation import Augmentation
from ltcore.running.images import open_images

SIZES = (  # pixels a side: as ltcore and as Pillow's user store it, as both train on; the target
    (32, 32, 32, 0.1),
    (32, 32, 224, 0.333),
    (224, 256, 224, 0.333),  # ltcore decodes files once, at the size of the run
    (256, 256, 224, 0.333),  # arrays of a data set's own, made smaller once
)


def comparisons(options: Options) -> Iterator[Comparison]:
    """A batch from uint8 in memory to normalised floats, cropped and flipped at random."""
    batch = 2 if options.quick else 128
    with threads(1):
        for stored, theirs, size, target in SIZES:
            calls = 20 if size == 32 and not options.quick else 1
            yield Comparison(
                f"{stored} px to {size}, {theirs} px to {size}",
                {
                    "ltcore": partial(seconds, ltcore_batch(noise(batch, stored), size), calls),
                    "Pillow": partial(seconds, pillow_batch(noise(batch, theirs), size), calls),
                },
                [Ratio("ltcore", "Pillow", at_most=target)],
                repeats=3,
            )


def noise(batch: int, side: int) -> NDArray[np.uint8]:
    """(N, side, side, 3)."""
    shape = (batch, side, side, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def ltcore_batch(images: NDArray[np.uint8], size: int) -> Callable[[], Tensor]:
    """As ltcore.running.batches makes a batch: the images by index, then all at once."""
    spec = {"dataset": "synthetic", "backbone": "resnet32", "loss": "cross_entropy"}
    resolved = resolve(spec | {"transform": {"size": size}}, ltcore.load_plugins())
    device, index = torch.device("cpu"), torch.arange(len(images))
    augmentation = Augmentation(resolved.spec.transform, resolved.backbone, seed=0, device=device)
    held = open_images(images.transpose(0, 3, 1, 2), size, device, room=0)

    def batch() -> Tensor:
        draws = augmentation.draw(index, epoch=0)
        return augmentation.train(next(held.batches([index])), draws)

    return batch


def pillow_batch(images: NDArray[np.uint8], size: int) -> Callable[[], Tensor]:
    """As a worker of a DataLoader makes a batch: one image after the other, then stacked."""
    transform = pil_transform(size, images.shape[1])
    return lambda: torch.stack([transform(Image.fromarray(image)) for image in images])
