"""Which device a run computes on, in which precision, and what machine that was."""

from __future__ import annotations

import contextlib
import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from ltcore.errors import LtcoreWarning, SpecError, SurroundingsError
from ltcore.ranks import Rank

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str, rank: Rank) -> torch.device:
    """The device that a spec asks for.

    Args:
        name: ``auto`` (CUDA, else MPS, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        rank: of several, each has the GPU of its own number on this machine.

    Raises:
        SurroundingsError: this machine has no such device, or fewer than ranks.
        SpecError: several ranks are to share one GPU.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if not rank.alone:
        if name not in ("auto", "cpu", "cuda"):
            raise SpecError(
                f"training.device: {name!r} is one device, and there are {rank.of} ranks. Write "
                "'cuda', for a GPU each, or 'cpu'."
            )
        name = f"cuda:{rank.local}" if name == "cuda" or (name == "auto" and cuda) else "cpu"
    if name == "auto":
        name = "cuda" if cuda else "mps" if mps else "cpu"
    there = ["cpu"] + ["mps"] * mps + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if name not in there and not (name == "cuda" and cuda):
        raise SurroundingsError(
            f"training.device: no device {name!r} here. This machine has {', '.join(there)}; "
            "choose one, or auto; several ranks need a GPU each."
        )
    return torch.device(name)


def current_device(device: torch.device) -> AbstractContextManager[Any]:
    """The context in which a CUDA device is the one that PyTorch takes where none is named.

    Streams and graphs, for two, are made there.
    """
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def autocast(
    device: torch.device, precision: str, *, cached: bool = True
) -> AbstractContextManager[Any]:
    """The context in which a forward pass runs in ``fp32``, ``bf16`` or ``fp16``.

    Args:
        device: where it runs.
        precision: which one.
        cached: whether a weight that is used again is cast once.
    """
    dtype = _DTYPES.get(precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None, cache_enabled=cached)


def emulates(device: torch.device, precision: str) -> bool:
    """Whether the device lacks instructions for ``bf16`` or ``fp16``; False where nobody knows."""
    if precision == "fp32":
        return False
    if device.type == "cuda":
        return precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False)
    has_instructions = getattr(torch.ops.mkldnn, f"_is_mkldnn_{precision}_supported", None)
    return device.type == "cpu" and has_instructions is not None and not has_instructions()


def warn_of_emulation(device: torch.device, precision: str) -> None:
    """Warn of a precision that the device emulates."""
    if emulates(device, precision):
        warnings.warn(
            f"training.precision: this {device.type.upper()} has no instructions for {precision}; "
            "emulated, an epoch takes several times as long as in fp32",
            LtcoreWarning,
            stacklevel=2,
        )


@contextlib.contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """The context in which PyTorch computes the same bits each time, or refuses to.

    What it sets is put back. On the CPU ltcore's own parts are deterministic without it.
    """
    if not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used
    cudnn = torch.backends.cudnn
    before = torch.get_deterministic_debug_mode(), cudnn.deterministic, cudnn.benchmark
    try:
        torch.use_deterministic_algorithms(True)
        cudnn.deterministic, cudnn.benchmark = True, False
        yield
    finally:
        mode, cudnn.deterministic, cudnn.benchmark = before
        torch.set_deterministic_debug_mode(mode)


def outside_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """The context in which float32 stays float32, whatever the precision around it."""
    # meta, for shapes alone, has no autocast
    if device.type == "meta" or not torch.is_autocast_enabled(device.type):
        return contextlib.nullcontext()
    return torch.autocast(device.type, enabled=False)


def environment(device: torch.device, ranks: int) -> dict[str, Any]:
    """What made the numbers: versions, device, threads of a rank, and the number of ranks."""
    cuda = device.type == "cuda"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if cuda else platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cuda": torch.version.cuda if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,  # type: ignore[no-untyped-call]
        "threads": torch.get_num_threads(),
        "world_size": ranks,
    }
