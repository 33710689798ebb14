"""Splits -> batches on the device: uint8 images in memory, augmented a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from ltcore.running.augmentation import Augmentation
from ltcore.running.decoding import decode_images
from ltcore.running.randomness import epoch_order
from ltcore.splits import ImageFiles, Split

_LARGEST_SHARE = 0.25  # of the device's free memory that one split's images may take


class Batch(NamedTuple):
    """images (N, 3, size, size) float32 and labels (N,) int64, on the device."""

    images: Tensor
    labels: Tensor


class Batches:
    """The batches of one split.

    Args:
        split: its images, in memory or in files.
        augmentation: what happens to them.
        batch_size: images a batch; the last one may be smaller, and is kept.
        device: where the batches go.

    Raises:
        DataError: an image file is missing or damaged.
    """

    def __init__(
        self, split: Split, augmentation: Augmentation, *, batch_size: int, device: torch.device
    ) -> None:
        images = split.images
        if isinstance(images, ImageFiles):
            images = decode_images(images, augmentation.size)
        self._images = _where_there_is_room(_tensor(images), device)
        self.labels = _tensor(split.labels).to(device)
        self._augmentation = augmentation
        self._batch_size = batch_size
        self._device = device

    def __len__(self) -> int:
        """How many batches there are."""
        return math.ceil(len(self.labels) / self._batch_size)

    def training(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Every image once, augmented, in the epoch's order.

        Args:
            epoch: from 0.
            first: the batch to begin with, from 0.
        """
        order = epoch_order(self._augmentation.seed, epoch, len(self.labels))
        for chosen in torch.split(order.to(self._images.device), self._batch_size)[first:]:
            images = self._images[chosen].to(self._device)
            index = chosen.to(self._device)
            yield Batch(self._augmentation.train(images, index, epoch), self.labels[index])

    def evaluation(self) -> Iterator[Tensor]:
        """Every image once, as it is, in the split's order: (N, 3, size, size) float32."""
        for images in torch.split(self._images, self._batch_size):
            yield self._augmentation.evaluate(images.to(self._device))


def _tensor(array: NDArray[Any]) -> Tensor:
    """The array itself; a copy where PyTorch cannot take it: read-only, or running backwards."""
    taken = array.flags.writeable and min(array.strides, default=0) >= 0
    return torch.from_numpy(array if taken else array.copy(order="K"))


def _where_there_is_room(images: Tensor, device: torch.device) -> Tensor:
    """On the device where they take little of its memory, else where they are."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if images.nbytes > _LARGEST_SHARE * free:
            return images
    return images.to(device)
