"""Image files and large arrays -> uint8 arrays, at the size that the run asks for."""

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


def stored_side(files: ImageFiles, size: int) -> int:
    """The side S at which images are decoded, in pixels, from the files' headers.

    Square images of one size up to ``size`` are kept as they are (S is theirs) and resized on the
    device; all others are decoded at ``size``.

    Args:
        files: the files, in any format that Pillow reads.
        size: pixels a side that the run asks for.

    Raises:
        DataError: a file is missing or no image, with its path.
    """
    with _quiet_about_size(), _threads() as pool:
        sizes = set(pool.map(_image_size, files.paths))
    if len(sizes) == 1:
        width, height = sizes.pop()
        if width == height <= size:
            return width
    return size


def decode_images(files: ImageFiles, side: int) -> NDArray[np.uint8]:
    """(N, 3, S, S) uint8, channels last in memory.

    Images that are not S by S are cropped to the largest central square and resized, bilinear and
    antialiased. Transparency is dropped, 16-bit grey levels lose their lower byte, and a camera's
    note on how it was held (EXIF) is not followed.

    Args:
        files: the files, in any format that Pillow reads.
        side: S; see :func:`stored_side`.

    Raises:
        DataError: a file is missing or no image, with its path.
    """
    array = np.empty((len(files), side, side, 3), np.uint8)
    with _quiet_about_size(), _threads() as pool:
        for _ in pool.map(partial(decode_into, array), range(len(files)), files.paths):
            pass
    return array.transpose(0, 3, 1, 2)


def decode_into(array: NDArray[np.uint8], index: int, path: str) -> None:
    """Decode a file into ``array[index]``, of an array (N, S, S, 3).

    Raises:
        DataError: the file is missing or no image, with its path.
    """
    with _opened(path) as image:
        pixels = _colours(image)
    array[index] = _fitted(pixels, array.shape[1])


def fit_images(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """What is to be held of images: squares up to a size themselves, of others what fits into it.

    Others are cropped to the central square and made smaller once, by what does it to files.

    Args:
        images: (N, 3, H, W), in any memory layout.
        size: pixels a side that the run asks for.

    Returns:
        (N, 3, S, S), where S is the smallest of the size, H and W.
    """
    side = min(size, *images.shape[-2:])
    if images.shape[-2:] == (side, side):
        return images
    array = np.empty((len(images), side, side, 3), np.uint8)

    def fit_into(index: int) -> None:
        pixels = np.ascontiguousarray(images[index].transpose(1, 2, 0))
        array[index] = _fitted(Image.fromarray(pixels), side)

    with _threads() as pool:
        for _ in pool.map(fit_into, range(len(images))):
            pass
    return array.transpose(0, 3, 1, 2)


def _fitted(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """(S, S, 3) of an RGB image's largest central square."""
    if image.size != (side, side):
        image = ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _image_size(path: str) -> tuple[int, int]:
    with _opened(path) as image:
        return image.size


def _colours(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # convert() would clip 16-bit levels at 255, all but black
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its grey levels are floating-point numbers of no known range")
    if image.mode == "RGB":  # which convert() would copy
        image.load()
        return image
    return image.convert("RGB")


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Threads whose queued work is given up where the block ends early."""
    pool = ThreadPoolExecutor()
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _quiet_about_size() -> Iterator[None]:
    """Pillow warns of large images; those twice as large it refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


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
