"""Where HDF5 keeps strings of variable length, looked through before HDF5 does.

Nothing here knows h5py or results.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from ltcore.errors import ResultsFileError

_HEAP = b"GCOL\1"


def refuse_endless_heaps(path: Path) -> None:
    """Refuse a file over which HDF5 would loop for ever.

    Strings of variable length lie in heaps, lists of objects that each give their length; a length
    of nothing, where a byte is damaged, leads back to the same object, and HDF5 (2.0 still) goes
    round (github.com/HDFGroup/hdf5/issues/1707).

    Args:
        path: a file that begins with HDF5's superblock.

    Raises:
        ResultsFileError: a heap is damaged.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        width = content[14] if content[8] < 2 else content[10]  # bytes of a length

        def length(position: int) -> int:
            return int.from_bytes(content[position + 8 : position + 8 + width], "little")

        heap = content.find(_HEAP)
        while heap >= 0:
            position, end = heap + 16, heap + length(heap)
            while position + 16 <= min(end, len(content)):
                free = content[position : position + 2] == b"\0\0"
                taken = length(position) if free else 16 + -(-length(position) // 8) * 8
                if not 0 < taken <= end - position:
                    raise ResultsFileError(f"damaged: the heap at byte {heap:,} does not add up")
                position += taken
            heap = content.find(_HEAP, heap + len(_HEAP))
