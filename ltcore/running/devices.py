"""Which device a run computes on, in which precision, and what machine that was."""

from __future__ import annotations

import contextlib
import platform
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from ltcore.errors import SurroundingsError

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str) -> torch.device:
    """The device that a spec asks for.

    Args:
        name: ``auto`` (CUDA, else MPS, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        SurroundingsError: this machine has no such device.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if cuda else "mps" if mps else "cpu"
    there = ["cpu"] + ["mps"] * mps + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if name not in there and not (name == "cuda" and cuda):
        raise SurroundingsError(
            f"training.device: no device {name!r} here. This machine has {', '.join(there)}; "
            "choose one, or auto."
        )
    return torch.device(name)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The context in which a forward pass runs in ``fp32``, ``bf16`` or ``fp16``."""
    dtype = _DTYPES.get(precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def outside_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """The context in which float32 stays float32, whatever the precision around it."""
    if device.type == "meta":  # for shapes alone: it has no autocast
        return contextlib.nullcontext()
    return torch.autocast(device.type, enabled=False)


def environment(device: torch.device) -> dict[str, Any]:
    """What made the numbers: versions, device and threads."""
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
        "world_size": 1,
    }
