"""Splits -> batches on the device: uint8 images in memory, augmented a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from ltcore.ranks import Rank
from ltcore.running.augmentation import Augmentation
from ltcore.running.decoding import decode_images
from ltcore.running.exchange import share_of_batch, share_of_split
from ltcore.running.randomness import epoch_order
from ltcore.splits import ImageFiles, Split

_LARGEST_SHARE = 0.25  # of the device's free memory that one split's images may take


class Batch(NamedTuple):
    """A rank's images (n, 3, size, size) float32, and the whole batch's labels (N,) int64."""

    images: Tensor
    labels: Tensor


class Batches:
    """The batches of one split.

    Args:
        split: its images, in memory or in files.
        augmentation: what happens to them.
        batch_size: images a batch; the last one may be smaller, and is kept. While training a
            batch is shared out over the ranks; while evaluating each rank has its own.
        device: where the batches go.
        rank: which part of the images is this process's.

    Raises:
        DataError: an image file is missing or damaged.
    """

    def __init__(
        self,
        split: Split,
        augmentation: Augmentation,
        *,
        batch_size: int,
        device: torch.device,
        rank: Rank,
    ) -> None:
        images = split.images
        if isinstance(images, ImageFiles):
            images = decode_images(images, augmentation.size)
        self._images = _where_there_is_room(_tensor(images), device)
        self.labels = _tensor(split.labels).to(device)
        self._augmentation = augmentation
        self._batch_size = batch_size
        self._device = device
        self._rank = rank

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
            share = share_of_batch(chosen, self._rank)
            images = self._images[share].to(self._device)
            augmented = self._augmentation.train(images, share.to(self._device), epoch)
            yield Batch(augmented, self.labels[chosen.to(self._device)])

    def evaluation(self) -> Iterator[Tensor]:
        """The rank's share of the images, as they are: (N, 3, size, size) float32.

        Every rank gets equally many batches of equal sizes; see :func:`share_of_split`.
        """
        share = share_of_split(len(self.labels), self._rank).to(self._images.device)
        for chosen in torch.split(share, self._batch_size):
            yield self._augmentation.evaluate(self._images[chosen].to(self._device))


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
