"""Splits -> batches on the device, augmented a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ltcore.ranks import Rank
from ltcore.running.augmentation import Augmentation
from ltcore.running.exchange import share_of_batch, share_of_split
from ltcore.running.images import as_tensor, open_images, sent
from ltcore.running.randomness import epoch_order
from ltcore.splits import Split


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
        room: bytes that images decoded from files may take; without room they are decoded anew in
            each epoch.

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
        room: float,
    ) -> None:
        self.images = open_images(split.images, augmentation.size, device, room)
        self.labels = as_tensor(split.labels).to(device)
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
        batches = torch.split(order, self._batch_size)[first:]
        if not batches:
            return
        shares = [share_of_batch(batch, self._rank) for batch in batches]
        # What is the same for all steps is done once: a step launches no more than it must.
        labels = self.labels[sent(torch.cat(batches), self._device)]
        draws = self._augmentation.draw(sent(torch.cat(shares), self._device), epoch)
        parts = zip(
            self.images.batches(shares),
            draws.split([len(share) for share in shares]),
            torch.split(labels, self._batch_size),
            strict=True,
        )
        for images, drawn, labels_of_batch in parts:
            yield Batch(self._augmentation.train(images, drawn), labels_of_batch)

    def evaluation(self) -> Iterator[Tensor]:
        """The rank's share of the images, as they are: (N, 3, size, size) float32.

        Every rank gets equally many batches of equal sizes; see :func:`share_of_split`.
        """
        share = share_of_split(len(self.labels), self._rank)
        for images in self.images.batches(torch.split(share, self._batch_size)):
            yield self._augmentation.evaluate(images)
