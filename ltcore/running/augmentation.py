"""Batches of uint8 images -> resized, cropped, flipped and normalised float32, on the device.

Every pixel is computed by itself, of its own image: no matrix product, whose rounding depends on
how many images there are. So an image comes out the same to the last bit in whatever batch it is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ltcore.components import IMAGENET_NORMALIZATION, Backbone, Normalization
from ltcore.running.randomness import Purpose, random_bits
from ltcore.spec import NormalizationValues, Transform

NORMALIZATIONS = {
    # kuangliu/pytorch-cifar's statistics of CIFAR-10, which the study used for CIFAR-100.
    "study": Normalization((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": Normalization((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "imagenet": IMAGENET_NORMALIZATION,
}


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
        # (x / 255 - mean) / std, as one product and one sum over (N, 3, H, W)
        self.scale = (1 / (255 * std)).float().view(3, 1, 1).to(device)
        self.shift = (-mean / std).float().view(3, 1, 1).to(device)
        self._device = device

    def train(self, images: Tensor, index: Tensor, epoch: int) -> Tensor:
        """Resize, pad with zeros, crop at random, flip at random and normalise.

        Args:
            images: (N, 3, H, W) uint8.
            index: (N,) int64, of each image in the train split; with the seed and the epoch it
                settles what is drawn.
            epoch: from 0.

        Returns:
            (N, 3, size, size) float32, channels last in memory.
        """
        top = self._draw(index, epoch, Purpose.SHIFT_DOWN, 2 * self.padding + 1)
        left = self._draw(index, epoch, Purpose.SHIFT_RIGHT, 2 * self.padding + 1)
        flip = random_bits(self.seed, epoch, index, Purpose.FLIP) < self.flip_below
        window = torch.arange(self.size, device=self._device)
        rows = top[:, None] + window  # (N, size), of the padded image
        columns = left[:, None] + torch.where(flip[:, None], window.flip(0), window)
        padded = F.pad(self._resize(images), [self.padding] * 4)
        each = torch.arange(len(images), device=self._device)
        cropped = padded[each[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return self._normalize(cropped.permute(0, 3, 1, 2))

    def evaluate(self, images: Tensor) -> Tensor:
        """Resize and normalise: (N, 3, H, W) uint8 -> (N, 3, size, size) float32."""
        return self._normalize(self._resize(images))

    def _resize(self, images: Tensor) -> Tensor:
        """Bilinear, antialiased where it makes smaller; images of this size stay as they are."""
        size = (self.size, self.size)
        if images.shape[-2:] == size:
            return images
        smaller = max(images.shape[-2:]) > self.size
        return F.interpolate(images.float(), size, mode="bilinear", antialias=smaller)

    def _normalize(self, images: Tensor) -> Tensor:
        pixels = torch.addcmul(self.shift, images.float(), self.scale)
        return pixels.contiguous(memory_format=torch.channels_last)

    def _draw(self, index: Tensor, epoch: int, purpose: Purpose, below: int) -> Tensor:
        """(N,) int64, uniform in [0, below)."""
        return (random_bits(self.seed, epoch, index, purpose) * below) >> 31


def _statistics(transform: Transform, backbone: Backbone) -> Normalization:
    normalize = transform.normalize
    if isinstance(normalize, NormalizationValues):
        return Normalization(normalize.mean, normalize.std)
    return backbone.normalization if normalize == "backbone" else NORMALIZATIONS[normalize]
