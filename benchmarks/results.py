"""Writing and reading a results file against numpy's save and load of the same arrays.

numpy writes an array a file. A results file is one, on the disk before it has its name, and with a
digest that is checked when it is read.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks.comparison import Comparison, Options, Ratio
from benchmarks.results_files import study
from benchmarks.timing import seconds, threads
from ltcore.results_files import read_results, write_results


def comparisons(options: Options) -> Iterator[Comparison]:
    """The time of writing, the size, and the time of reading, of 5,000 x 100 logits."""
    per_class, calls = (2, 1) if options.quick else (50, 5)
    with tempfile.TemporaryDirectory() as name, threads(1):
        folder = Path(name)
        (run,) = study(1, per_class)
        path = write_results(run, folder / "run.h5")
        arrays = stored_arrays(path)

        def timed(action: Callable[[], object]) -> Callable[[], float]:
            return partial(seconds, action, calls)

        save, load = partial(save_arrays, arrays, folder), partial(load_arrays, arrays, folder)
        save()
        yield Comparison(
            "write",
            {
                "ltcore": timed(partial(write_results, run, path)),
                "np.save": timed(save),
                "np.save, synced": timed(partial(save, synced=True)),
            },
            [Ratio("ltcore", "np.save", at_most=2.5), Ratio("ltcore", "np.save, synced")],
        )
        yield Comparison(
            "size",
            {
                "ltcore": lambda: float(path.stat().st_size),
                "np.save": lambda: float(sum(p.stat().st_size for p in folder.glob("*.npy"))),
            },
            [Ratio("ltcore", "np.save", at_most=1.05)],
            unit="bytes",
        )
        yield Comparison(
            "read",
            {"ltcore": timed(partial(read_results, path)), "np.load": timed(load)},
            [Ratio("ltcore", "np.load")],
        )


def stored_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """Every array of a results file, as it is stored."""
    arrays: dict[str, NDArray[np.generic]] = {}

    def add(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            array = np.asarray(item[()])
            arrays[name.replace("/", ".")] = array.view(array.dtype.str)  # without h5py's remarks

    with h5py.File(path) as file:
        file.visititems(add)
    return arrays


def save_arrays(
    arrays: Mapping[str, NDArray[np.generic]], folder: Path, *, synced: bool = False
) -> None:
    """Write them, and, where they are to be synced, wait until they are on the disk."""
    for name, array in arrays.items():
        with (folder / f"{name}.npy").open("wb") as file:
            np.save(file, array)
            if synced:
                file.flush()
                os.fsync(file.fileno())


def load_arrays(arrays: Mapping[str, NDArray[np.generic]], folder: Path) -> None:
    """Read them all."""
    for name in arrays:
        np.load(folder / f"{name}.npy")
