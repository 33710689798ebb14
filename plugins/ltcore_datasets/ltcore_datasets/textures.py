"""The pictures of the synthetic data set: noisy colour textures, a texture a class.

Each is a function of its class, its split and its number alone. Only raw bits, sums and products
go into it, which every platform and every NumPy give alike, so its bytes are the same everywhere.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ltcore_datasets.pool import Pool

GRID = 4
CONTRAST = 40.0
LARGEST_DIMMING = 0.5
LARGEST_SHIFT = 0.125

_STREAMS = {"texture": 0, "train": 1, "val": 2, "test": 3}


def texture_pool(split: str, classes: int, per_class: int, *, size: int, noise: float) -> Pool:
    """The pictures of a split, painted when they are taken.

    Args:
        split: ``train``, ``val`` or ``test``.
        classes: K.
        per_class: pictures of each class.
        size: the side in pixels.
        noise: as :func:`paint` takes it.
    """
    labels = np.repeat(np.arange(classes), per_class)
    ids = np.array(
        [f"{split}/texture_{label}/{n:04d}" for label in range(classes) for n in range(per_class)]
    )

    def read(indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        images = np.empty((len(indices), size, size, 3), dtype=np.uint8)
        for image, index in zip(images, indices, strict=True):
            image[:] = paint(
                split, int(labels[index]), int(index % per_class), size=size, noise=noise
            )
        return images.transpose(0, 3, 1, 2)

    return Pool(labels, ids, read)


def paint(split: str, label: int, number: int, *, size: int, noise: float) -> NDArray[np.uint8]:
    """(size, size, 3) uint8: the texture of a class, moved, mirrored, dimmed, covered by noise.

    ``128 + CONTRAST * (gain * texture + noise * (clutter + grain))``, clipped to bytes. The gain
    lies in [0.5, 1.5]; the texture is shifted by up to an eighth of the side, and every other time
    mirrored; the clutter is a texture of this picture's own; the grain differs from pixel to pixel.

    Args:
        split: ``train``, ``val`` or ``test``.
        label: the class.
        number: tells the pictures of a class apart.
        size: the side in pixels.
        noise: the weight of clutter and grain; 0 leaves the texture bare.
    """
    cells = 3 * GRID**2
    draws = _uniform((_STREAMS[split], label, number), 4 + cells + 3 * size**2)
    gain = 1.0 + LARGEST_DIMMING * draws[0]
    down, right = (int(shift) for shift in np.rint(draws[1:3] * LARGEST_SHIFT * size))
    texture = np.roll(class_texture(label, size), (down, right), axis=(0, 1))
    if draws[3] < 0:
        texture = texture[:, ::-1]
    clutter = _smooth(draws[4 : 4 + cells], size)
    grain = draws[4 + cells :].reshape(size, size, 3)
    values = 128.0 + CONTRAST * (gain * texture + noise * (clutter + grain))
    pixels: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels


@lru_cache(maxsize=1)  # a class's pictures are painted one after the other
def class_texture(label: int, size: int) -> NDArray[np.float64]:
    """(size, size, 3) in [-1, 1]: the smooth colour texture that a class is known by."""
    return _smooth(_uniform((_STREAMS["texture"], label), 3 * GRID**2), size)


def _uniform(key: tuple[int, ...], n: int) -> NDArray[np.float64]:
    """(n,) in [-1, 1). Of NumPy's generators the raw bits alone are the same in every version."""
    bits = np.random.PCG64(list(key)).random_raw(n)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def _smooth(draws: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """(size, size, 3): a periodic grid of GRID x GRID colours, interpolated bilinearly."""
    grid = draws.reshape(GRID, GRID, 3)
    at = np.arange(size) * (GRID / size)
    low = at.astype(np.int64)
    high, share = (low + 1) % GRID, (at - low)[:, np.newaxis]
    rows = grid[low] * (1.0 - share)[..., np.newaxis] + grid[high] * share[..., np.newaxis]
    smooth: NDArray[np.float64] = rows[:, low] * (1.0 - share) + rows[:, high] * share
    return smooth
