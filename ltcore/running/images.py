"""The images of a split: held where there is room, or decoded from their files batch by batch."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from ltcore.running.decoding import decode_images, decode_into, fit_images, stored_side
from ltcore.splits import ImageFiles

AHEAD = 2  # batches that are decoded while the one before them is computed
_LARGEST_SHARE = 0.25  # of the device's free memory that one split's images may take
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class Images(Protocol):
    """Images that come in batches, on the device."""

    held_bytes: int

    def batches(self, indices: Sequence[Tensor]) -> Iterator[Tensor]:
        """(n, 3, S, S) uint8 on the device, for each (n,) int64 of ``indices`` on the CPU."""


class HeldImages:
    """Images in memory: the device's where they take little of it, else the machine's.

    Args:
        images: (N, 3, S, S) uint8.
        device: where the batches go.
    """

    def __init__(self, images: NDArray[Any], device: torch.device) -> None:
        self._pixels = _where_there_is_room(as_tensor(images), device).permute(0, 2, 3, 1)
        self._send = Sending(device)
        self.held_bytes = self._pixels.nbytes

    def batches(self, indices: Sequence[Tensor]) -> Iterator[Tensor]:
        """Gathered where the images are."""
        there = sent(torch.cat([*indices]), self._pixels.device)
        for index in torch.split(there, [len(index) for index in indices]):
            # whole images at once, where indexing by brackets copies byte after byte
            yield self._send(self._pixels.index_select(0, index)).permute(0, 3, 1, 2)


class StreamedImages:
    """Images in files, decoded in threads: :data:`AHEAD` batches and the one in use are in memory.

    Args:
        files: the files.
        side: S, pixels.
        device: where the batches go.
    """

    held_bytes = 0

    def __init__(self, files: ImageFiles, side: int, device: torch.device) -> None:
        self._paths = files.paths
        self._side = side
        self._device = device
        self._send = Sending(device)

    def batches(self, indices: Sequence[Tensor]) -> Iterator[Tensor]:
        """Decoded ahead of their use; what was begun in vain is given up at the end.

        Raises:
            DataError: a file has gone, or is damaged.
        """
        pool = ThreadPoolExecutor()
        waiting: deque[tuple[Tensor, list[Future[None]]]] = deque()
        try:
            for index in indices:
                waiting.append(self._begin(index, pool))
                if len(waiting) > AHEAD:
                    yield self._finish(*waiting.popleft())
            while waiting:
                yield self._finish(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _begin(self, index: Tensor, pool: ThreadPoolExecutor) -> tuple[Tensor, list[Future[None]]]:
        shape = (len(index), self._side, self._side, 3)
        pinned = self._device.type == "cuda"
        images = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
        array = images.numpy()
        return images, [
            pool.submit(decode_into, array, place, self._paths[number])
            for place, number in enumerate(index.tolist())
        ]

    def _finish(self, images: Tensor, jobs: list[Future[None]]) -> Tensor:
        for job in jobs:
            job.result()
        return self._send(images).permute(0, 3, 1, 2)


def open_images(
    images: NDArray[Any] | ImageFiles, size: int, device: torch.device, room: float
) -> Images:
    """The images of a split, held or streamed, as squares of at most the size.

    Args:
        images: a split's.
        size: pixels a side that the run asks for.
        device: where the batches go.
        room: bytes that images decoded from files may take.

    Raises:
        DataError: a file is missing or no image.
    """
    if not isinstance(images, ImageFiles):
        return HeldImages(fit_images(images, size), device)
    side = stored_side(images, size)
    if len(images) * side**2 * 3 > room:
        return StreamedImages(images, side, device)
    return HeldImages(decode_images(images, side), device)


def machine_memory() -> int:
    """Bytes of memory that this machine, or the container around the process, has."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in map(Path, _CGROUP_LIMITS):
        text = path.read_text().strip() if path.exists() else "max"
        if text.isdigit():
            found.append(int(text))
    return min(found)


def as_tensor(array: NDArray[Any]) -> Tensor:
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


class Sending:
    """Sends one batch after the other to a device; to CUDA while that computes the one before.

    A copy in the order of what is computed would wait for it; this one has a stream of its own, and
    only what is computed next waits for it.

    Args:
        device: where to.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def __call__(self, part: Tensor) -> Tensor:
        """The part on the device; itself, where it is there."""
        if self._stream is None or part.device.type != "cpu":
            return part.to(self._device)
        with torch.cuda.stream(self._stream):
            there = sent(part, self._device)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._stream)
        there.record_stream(computing)  # its memory is the other stream's, and now in use here
        return there


def sent(part: Tensor, device: torch.device) -> Tensor:
    """On the device; to CUDA from pinned memory, without waiting for what that is computing."""
    if device.type == "cuda" and part.device.type == "cpu":
        return part.pin_memory().to(device, non_blocking=True)
    return part.to(device)
