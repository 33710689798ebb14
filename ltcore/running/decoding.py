"""Image files -> one uint8 array, decoded once, at the size that the run asks for."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ltcore.errors import DataError, one_line, printable
from ltcore.splits import ImageFiles


def decode_images(files: ImageFiles, size: int) -> NDArray[np.uint8]:
    """(N, 3, S, S) uint8, channels last in memory.

    Square images of one size up to ``size`` are kept as they are (S is theirs) and resized on the
    device. All others are cropped to the largest central square and resized to ``size``, bilinear
    and antialiased. Transparency is dropped, 16-bit grey levels lose their lower byte, and a
    camera's note on how it was held (EXIF) is not followed.

    Args:
        files: the files, in any format that Pillow reads.
        size: pixels a side.

    Raises:
        DataError: a file is missing or no image, with its path.
    """
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # twice as large is refused
        sizes = set(pool.map(_image_size, files.paths))
        if len(sizes) == 1:
            width, height = sizes.pop()
            if width == height <= size:
                size = width
        array = np.empty((len(files), size, size, 3), np.uint8)
        for _ in pool.map(partial(_decode_into, array), range(len(files)), files.paths):
            pass
    return array.transpose(0, 3, 1, 2)


def _image_size(path: str) -> tuple[int, int]:
    with _opened(path) as image:
        return image.size


def _decode_into(array: NDArray[np.uint8], index: int, path: str) -> None:
    side = array.shape[1]
    with _opened(path) as image:
        pixels = _colours(image)
    if pixels.size != (side, side):
        pixels = ImageOps.fit(pixels, (side, side), Image.Resampling.BILINEAR)
    array[index] = np.asarray(pixels)


def _colours(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # convert() would clip 16-bit levels at 255, all but black
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its grey levels are floating-point numbers of no known range")
    return image.convert("RGB")


@contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    """An image to decode in the block, where Pillow may raise anything on a damaged file."""
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError:
        raise DataError(printable(f"{path}: no such file")) from None
    except Exception as error:
        raise DataError(
            printable(f"{path}: not an image that can be decoded ({one_line(error)})")
        ) from error
