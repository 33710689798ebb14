"""Batches of augmented images, by ltcore at once and by Pillow image after image.

Of images in memory on one thread; of files with all cores, ltcore's in threads, Pillow's in the
workers of a DataLoader.
"""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import ltcore
from benchmarks.comparison import Comparison, Options, Ratio
from benchmarks.contenders import Build, in_processes
from benchmarks.peers import pil_transform
from benchmarks.timing import CORES, seconds, threads
from ltcore.ranks import Rank
from ltcore.resolution import resolve
from ltcore.running.allocation import keeping_memory
from ltcore.running.augmentation import Augmentation
from ltcore.running.batches import Batches
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
    with threads(1 if options.quick else CORES), tempfile.TemporaryDirectory() as folder:
        batch, number = (2, 4) if options.quick else (64, 512)
        files = write_files(Path(folder), number)
        epochs: dict[str, Build] = {
            "ltcore": partial(StreamedEpoch, files, batch),
            "DataLoader": partial(LoaderEpoch, files, batch),
        }
        with in_processes(epochs) as contenders:
            yield Comparison(
                "JPEG files of 256 px to 224, decoded in each epoch",
                contenders,
                [Ratio("ltcore", "DataLoader")],
            )


def noise(batch: int, side: int) -> NDArray[np.uint8]:
    """(N, side, side, 3)."""
    shape = (batch, side, side, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def write_files(folder: Path, number: int) -> ltcore.ImageFiles:
    """Smooth noise: as large as a photograph of 256 pixels a side is."""
    paths = []
    for index, small in enumerate(noise(number, 32)):
        path = folder / f"{index}.jpg"
        Image.fromarray(small).resize((256, 256), Image.Resampling.BICUBIC).save(path, quality=90)
        paths.append(str(path))
    return ltcore.ImageFiles(tuple(paths))


class StreamedEpoch:
    """An epoch of ltcore's batches of files that there is no room for in memory; its seconds.

    The process keeps the memory that it frees, as that of `ltcore run` does.
    """

    def __init__(self, files: ltcore.ImageFiles, batch_size: int) -> None:
        device = torch.device("cpu")
        ids, labels = np.arange(len(files)).astype(str), np.zeros(len(files), np.int64)
        self.batches = Batches(
            ltcore.Split(files, labels, ids),
            augmentation_of(224, device),
            batch_size=batch_size,
            device=device,
            rank=Rank(),
            room=0,
        )
        self.after_batch: Callable[[Any], None] = keeping_memory(lambda _: None, ())

    def __call__(self) -> float:
        begun = time.perf_counter()
        for _ in self.batches.training(0):
            self.after_batch(None)
        return time.perf_counter() - begun


class LoaderEpoch:
    """An epoch of a DataLoader whose workers, one a core, stay for the next; its seconds."""

    def __init__(self, files: ltcore.ImageFiles, batch_size: int) -> None:
        self.loader = DataLoader(
            PilFiles(files.paths),
            batch_size,
            shuffle=True,
            num_workers=CORES,
            persistent_workers=True,
        )

    def __call__(self) -> float:
        begun = time.perf_counter()
        deque(self.loader, maxlen=0)
        return time.perf_counter() - begun


class PilFiles(Dataset[Tensor]):
    """Files that Pillow decodes and torchvision transforms one by one."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths, self.transform = paths, pil_transform(224, 256)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as image:
            transformed: Tensor = self.transform(image.convert("RGB"))
        return transformed


def augmentation_of(size: int, device: torch.device) -> Augmentation:
    """That of a run."""
    spec = {"dataset": "synthetic", "backbone": "resnet32", "loss": "cross_entropy"}
    resolved = resolve(spec | {"transform": {"size": size}}, ltcore.load_plugins())
    return Augmentation(resolved.spec.transform, resolved.backbone, seed=0, device=device)


def ltcore_batch(images: NDArray[np.uint8], size: int) -> Callable[[], Tensor]:
    """As ltcore.running.batches makes a batch: the images by index, then all at once."""
    device, index = torch.device("cpu"), torch.arange(len(images))
    augmentation = augmentation_of(size, device)
    held = open_images(images.transpose(0, 3, 1, 2), size, device, room=0)

    def batch() -> Tensor:
        draws = augmentation.draw(index, epoch=0)
        return augmentation.train(next(held.batches([index])), draws)

    return batch


def pillow_batch(images: NDArray[np.uint8], size: int) -> Callable[[], Tensor]:
    """As a worker of a DataLoader makes a batch: one image after the other, then stacked."""
    transform = pil_transform(size, images.shape[1])
    return lambda: torch.stack([transform(Image.fromarray(image)) for image in images])
