"""Image files -> one uint8 array, decoded once, at the size that the run asks for."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ltcore.errors import DataError
from ltcore.splits import ImageFiles


def decode_images(files: ImageFiles, size: int) -> NDArray[np.uint8]:
    """(N, 3, S, S) uint8, channels last in memory.

    Square images of one size up to ``size`` are kept as they are (S is theirs) and resized on the
    device. All others are cropped to the largest central square and resized to ``size``, bilinear
    and antialiased.

    Args:
        files: the files, in any format that Pillow reads.
        size: pixels a side.

    Raises:
        DataError: a file is missing or no image, with its path.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sizes = set(pool.map(_image_size, files.paths))
        if len(sizes) == 1:
            (width, height) = next(iter(sizes))
            if width == height <= size:
                size = width
        array = np.empty((len(files), size, size, 3), np.uint8)
        decode = partial(_decode_into, array)
        for _ in pool.map(decode, range(len(files)), files.paths):
            pass
    return array.transpose(0, 3, 1, 2)


def _image_size(path: str) -> tuple[int, int]:
    with _open(path) as image:
        return image.size


def _decode_into(array: NDArray[np.uint8], index: int, path: str) -> None:
    side = array.shape[1]
    with _open(path) as image:
        try:
            pixels = image.convert("RGB")
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f"{path}: cannot be decoded: {error}") from None
    if pixels.size != (side, side):
        pixels = ImageOps.fit(pixels, (side, side), Image.Resampling.BILINEAR)
    array[index] = np.asarray(pixels)


def _open(path: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not an image that Pillow can read ({error})") from None
