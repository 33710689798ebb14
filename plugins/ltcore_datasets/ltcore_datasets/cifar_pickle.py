"""The pickles inside CIFAR's archives, read by an unpickler that can build nothing but their data.

The files were written by Python 2: dicts of byte strings, lists, and one array of uint8. The three
names of NumPy that such an array is pickled with are bound to stand-ins of our own, so that not
even NumPy's code runs on what a file says; any other name is refused.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ltcore


def load(data: bytes, source: str) -> dict[bytes, Any]:
    """The dict that the bytes hold, its arrays as uint8.

    Args:
        data: a pickle.
        source: where it is from, for messages.

    Raises:
        DataError: it holds anything else than an archive of CIFAR does.
    """
    try:
        record = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        return {key: v.values if isinstance(v, _Array) else v for key, v in record.items()}
    except _MALFORMED as error:
        raise ltcore.DataError(f"{source} is no file of CIFAR's: {error}") from error


class _Dtype:
    """Stands in for ``numpy.dtype``."""

    def __init__(self, code: bytes, *_: object) -> None:
        if code != b"u1":
            raise pickle.UnpicklingError(f"an array of {code!r}, and images are of b'u1'")

    def __setstate__(self, state: object) -> None:
        """Byte order and the like, which single bytes have none of."""


class _Array:
    """Stands in for ``numpy.ndarray``."""

    values: NDArray[np.uint8]

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Dtype, bool, bytes]) -> None:
        _, shape, _, fortran_order, data = state
        values = np.frombuffer(data, dtype=np.uint8)
        self.values = values.reshape(shape, order="F" if fortran_order else "C")


def _reconstruct(*_: object) -> _Array:
    """Stands in for ``numpy.core.multiarray._reconstruct``."""
    return _Array()


_ADMITTED = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
}


_MALFORMED = (
    pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, LookupError, TypeError,
    ValueError,
)  # fmt: skip


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no image needs")
        return _ADMITTED[module, name]
