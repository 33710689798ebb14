"""Small image files of one size, decoded into one array."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import ltcore

_THREADS = 8  # they overlap the waiting for a disk; decoding itself holds the interpreter's lock
_CHUNK = 512


def decode_images(paths: Sequence[Path], *, side: int) -> NDArray[np.uint8]:
    """(N, 3, side, side) uint8, RGB, in the order of the paths; pixel by pixel in memory.

    Args:
        paths: N files.
        side: the width and height that every image must have.

    Raises:
        DataError: a file cannot be decoded, or has another size.
    """
    images = np.empty((len(paths), side, side, 3), dtype=np.uint8)

    def decode(start: int) -> None:
        for index, path in enumerate(paths[start : start + _CHUNK], start):
            images[index] = _decode(path, side)

    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(decode, range(0, len(paths), _CHUNK)))
    return images.transpose(0, 3, 1, 2)


def _decode(path: Path, side: int) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises all three on damaged files
        raise ltcore.DataError(f"{path} cannot be read as an image: {error}") from error
    if pixels.shape != (side, side, 3):
        raise ltcore.DataError(
            f"{path} is {pixels.shape[1]} x {pixels.shape[0]} pixels, and CIFAR's images are "
            f"{side} x {side}"
        )
    return pixels
