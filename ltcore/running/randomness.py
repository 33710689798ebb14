"""Counter-based random numbers: each is a hash of what it is for, so there is no state to keep.

A draw depends on (seed, epoch, index, purpose) alone: not on the batch size, on workers or ranks,
nor on whether the run was interrupted. The hash is a chain of splitmix64 finalisers.

Reference:
    Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators. OOPSLA 2014.
"""

from __future__ import annotations

from enum import IntEnum

import torch
from torch import Tensor

_BITS = 2**64
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB


class Purpose(IntEnum):
    """What a number is drawn for; numbers for different purposes are independent."""

    ORDER = 0
    SHIFT_DOWN = 1
    SHIFT_RIGHT = 2
    FLIP = 3
    MODEL = 4
    LOSS = 5


def random_bits(seed: int, epoch: int, index: Tensor, purpose: Purpose) -> Tensor:
    """(n,) int64 in [0, 2**31), one for each index.

    Args:
        seed: of the run.
        epoch: from 0.
        index: (n,) int64, of the image in the train split.
        purpose: what the numbers are for.
    """
    key = _signed(step_seed(seed, epoch, 0, purpose))
    return _shift_right(_mix(index ^ key), 33)


def epoch_order(seed: int, epoch: int, n: int) -> Tensor:
    """(n,) int64, a permutation of the n training images."""
    index = torch.arange(n)
    bits = random_bits(seed, epoch, index, Purpose.ORDER)
    return torch.argsort(bits, stable=True)


def step_seed(seed: int, epoch: int, step: int, purpose: Purpose, rank: int = 0) -> int:
    """The seed, in [0, 2**64), of a generator that serves one training step of one rank."""
    state = rank
    for value in (seed, epoch, step, purpose):
        state = ((state ^ value) + _GOLDEN) % _BITS
        state = ((state ^ (state >> 30)) * _FIRST) % _BITS
        state = ((state ^ (state >> 27)) * _SECOND) % _BITS
        state ^= state >> 31
    return state


def seed_generators(device: torch.device, seed: int) -> None:
    """Seed PyTorch's own generators, of the CPU and of the device.

    ``torch.manual_seed`` alone takes half a millisecond a call where PyTorch could use CUDA and
    there is none.

    Args:
        device: where numbers are drawn.
        seed: in [0, 2**64).
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def _mix(values: Tensor) -> Tensor:
    values = values + _signed(_GOLDEN)
    values = (values ^ _shift_right(values, 30)) * _signed(_FIRST)
    values = (values ^ _shift_right(values, 27)) * _signed(_SECOND)
    return values ^ _shift_right(values, 31)


def _shift_right(values: Tensor, bits: int) -> Tensor:
    """A logical shift: PyTorch's own fills with the sign."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)


def _signed(value: int) -> int:
    return value - _BITS if value >= _BITS // 2 else value
