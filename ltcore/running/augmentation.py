"""Batches of uint8 images -> enlarged, cropped, flipped and normalised float32, on the device.

Every pixel is computed by itself, of its own image, and only where a window shows it. So an image
comes out the same to the last bit in whatever batch it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ltcore.components import IMAGENET_NORMALIZATION, Backbone, Normalization
from ltcore.running.randomness import Purpose, random_bits
from ltcore.running.resizing import resized_windows
from ltcore.spec import NormalizationValues, Transform

NORMALIZATIONS = {
    # kuangliu/pytorch-cifar's statistics of CIFAR-10, which the study used for CIFAR-100.
    "study": Normalization((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": Normalization((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "imagenet": IMAGENET_NORMALIZATION,
}

_IN_CACHE = 2**17  # pixels, of three floats


class Draws(NamedTuple):
    """What is left to chance of some images, of each one.

    Attributes:
        top, left: (N,) int64, the first row and column of the padded image that are shown.
        flip: (N,) bool, whether left and right change places.
    """

    top: Tensor
    left: Tensor
    flip: Tensor

    def split(self, sizes: list[int]) -> Iterator[Draws]:
        """Those of consecutive parts."""
        return map(Draws, *(torch.split(drawn, sizes) for drawn in self))


class Augmentation:
    """The image transform of one run.

    Args:
        transform: from the resolved spec.
        backbone: whose statistics ``normalize: "backbone"`` means.
        seed: the order seed.
        device: where the images are.
    """

    def __init__(
        self, transform: Transform, backbone: Backbone, *, seed: int, device: torch.device
    ) -> None:
        if transform.size is None:
            raise ValueError("the transform of a resolved spec has a size")
        self.size = transform.size
        self.padding = transform.crop_padding
        self.flip_below = round(transform.horizontal_flip * 2**31)
        self.seed = seed
        mean, std = (torch.tensor(v, dtype=torch.float64) for v in _statistics(transform, backbone))
        # (x / 255 - mean) / std, as one product and one sum over a row of pixels (3 * size,)
        self._scale = (1 / (255 * std)).float().repeat(self.size).to(device)
        self._shift = (-mean / std).float().repeat(self.size).to(device)
        self._line = torch.arange(self.size, device=device)
        # on the CPU as many images as its cache holds at every stage; elsewhere all of a batch
        largest = _IN_CACHE // self.size**2 if device.type == "cpu" else sys.maxsize
        self._at_once = max(1, largest)
        self._device = device

    def draw(self, index: Tensor, epoch: int) -> Draws:
        """Settle what is left to chance: it depends on the seed, the epoch and the image alone.

        Args:
            index: (N,) int64, of each image in the train split.
            epoch: from 0.
        """

        def below(bound: int, purpose: Purpose) -> Tensor:
            return (random_bits(self.seed, epoch, index, purpose) * bound) >> 31

        shifts = 2 * self.padding + 1
        return Draws(
            top=below(shifts, Purpose.SHIFT_DOWN),
            left=below(shifts, Purpose.SHIFT_RIGHT),
            flip=random_bits(self.seed, epoch, index, Purpose.FLIP) < self.flip_below,
        )

    def train(self, images: Tensor, draws: Draws) -> Tensor:
        """Resize, pad with zeros, crop, flip and normalise.

        Args:
            images: (N, 3, H, W) uint8, of at most ``size`` pixels a side.
            draws: of each image, on its device.

        Returns:
            (N, 3, size, size) float32, channels last in memory.
        """
        top, left, flip = draws
        crop = self._crop if self._fits(images) else self._resize_and_crop

        def cropped(part: slice) -> Tensor:
            return crop(images[part], top[part], left[part], flip[part])

        return self._normalize(len(images), cropped)

    def evaluate(self, images: Tensor) -> Tensor:
        """Resize and normalise: (N, 3, H, W) uint8 -> (N, 3, size, size) float32."""
        if self._fits(images):
            return self._normalize(len(images), lambda part: images[part].permute(0, 2, 3, 1))
        every = self._line.expand(len(images), -1)
        return self._normalize(
            len(images),
            lambda part: resized_windows(images[part], every[part], every[part], self.size, 0),
        )

    def _fits(self, images: Tensor) -> bool:
        """Whether the images have this size, and so stay as they are."""
        return images.shape[-2:] == (self.size, self.size)

    def _resize_and_crop(self, images: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
        """(n, size, 3 * size) float32, of each image what its window shows."""
        across = torch.where(flip[:, None], self._line.flip(0), self._line)
        rows, columns = top[:, None] + self._line, left[:, None] + across
        return resized_windows(images, rows, columns, self.size, self.padding)

    def _crop(self, images: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
        """(n * size, 3 * size) uint8, of each image what its window shows."""
        n, side = len(images), self.size + 2 * self.padding
        padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, *[self.padding] * 4))
        both = torch.stack([padded, padded.flip(2)])  # copying twice is faster than torch.where
        left = torch.where(flip, 2 * self.padding - left, left)
        image = flip * n + torch.arange(n, device=self._device)
        row = (image * side + top)[:, None] + self._line
        begin = row * side + left[:, None]  # the pixel that a row of a window begins with
        return both.flatten().unfold(0, 3 * self.size, 3).index_select(0, begin.flatten())

    def _normalize(self, n: int, pixels: Callable[[slice], Tensor]) -> Tensor:
        """(n, 3, size, size) float32, channels last in memory, from the pixels of each part."""
        normalized = torch.empty((n, self.size, 3 * self.size), device=self._device)
        for begin in range(0, n, self._at_once):
            part = slice(begin, begin + self._at_once)
            rows = pixels(part).reshape(-1, self.size, 3 * self.size)
            torch.addcmul(self._shift, rows.float(), self._scale, out=normalized[part])
        return normalized.view(n, self.size, self.size, 3).permute(0, 3, 1, 2)


def _statistics(transform: Transform, backbone: Backbone) -> Normalization:
    normalize = transform.normalize
    if isinstance(normalize, NormalizationValues):
        return Normalization(normalize.mean, normalize.std)
    return backbone.normalization if normalize == "backbone" else NORMALIZATIONS[normalize]
