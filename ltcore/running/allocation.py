"""How the C library keeps the memory that each step of training on the CPU takes and lets go.

glibc gives the memory of large tensors back to the system when they are freed, and the system fills
it with zeros when the next step asks for it again, page by page: up to a quarter of a step. What
the main thread frees is kept here, and used again as it is. The price is that gaps between tensors
of many sizes are kept as well, so that a run of large images may take more memory at its peak.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

_State = TypeVar("_State")

# The numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_SMALL = 2**17  # bytes, glibc's own first threshold
_SETTLED_BY = (
    "MALLOC_MMAP_MAX_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "MALLOC_TRIM_THRESHOLD_",
)


def keeping_memory(
    between_steps: Callable[[_State], None], parameters: Iterable[nn.Parameter] = ()
) -> Callable[[_State], None]:
    """What is to be called between steps, which first has the process keep its freed memory.

    What stays for good, such as the optimiser's state and the kernels that oneDNN makes, comes
    with the first step. Until then large tensors lie apart from it, so that it does not lie
    scattered between theirs, and they take less memory afterwards. For the same reason small
    gradients get places that they keep: who wants to have one after the step must copy it.

    It changes no number, and holds for the rest of the process: for one that does nothing but this
    run. Nothing changes under another C library, or where the environment says how glibc is to do:
    ``GLIBC_TUNABLES=glibc.malloc.perturb=0``, its default, leaves all as it was.

    Args:
        between_steps: called with what it is given.
        parameters: whose gradients live from a backward pass to the optimiser's step.
    """
    set_option = _options_of_malloc()
    if set_option is None:
        return between_steps
    set_option(_MMAP_THRESHOLD, _SMALL)
    kept = False

    def after_the_first(state: _State) -> None:
        nonlocal kept
        if not kept:
            set_option(_MMAP_MAX, 0)
            set_option(_TRIM_THRESHOLD, -1)
            for parameter in parameters:
                _keep_place_of_gradient(parameter)
            kept = True
        between_steps(state)

    return after_the_first


def _keep_place_of_gradient(parameter: nn.Parameter) -> None:
    """Move each gradient to one place as soon as it is known, where it is a small one."""
    if not parameter.requires_grad or parameter.layout != torch.strided:
        return
    if parameter.nbytes > _SMALL:
        return
    with torch.inference_mode(mode=False):  # a run may go on in validation
        place = torch.empty_like(parameter, requires_grad=False)

    def move(parameter: Tensor) -> None:
        gradient = parameter.grad
        if gradient is not None and _form(gradient) == _form(place):
            parameter.grad = place.copy_(gradient)

    parameter.register_post_accumulate_grad_hook(move)  # type: ignore[no-untyped-call]


def _form(tensor: Tensor) -> tuple[object, ...]:
    """What the optimiser's kernels go by."""
    if tensor.layout != torch.strided:
        return (tensor.layout,)
    return tensor.dtype, tensor.shape, tensor.stride(), tensor.requires_grad


def _options_of_malloc() -> Callable[[int, int], Any] | None:
    """The ``mallopt`` of glibc; None where it is not there, or not ours to call."""
    if not os.environ.keys().isdisjoint(_SETTLED_BY):
        return None
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return None
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows
        return None
    # musl and macOS have neither
    has_glibc = hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt")
    return library.mallopt if has_glibc else None
