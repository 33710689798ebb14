"""What the tests of the losses share: classes of given counts, and losses built by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

import ltcore
import ltcore_losses


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def make_classes() -> Callable[[Sequence[int]], ltcore.Classes]:
    def make(counts: Sequence[int]) -> ltcore.Classes:
        return ltcore.Classes(
            names=tuple(f"class {j}" for j in range(len(counts))),
            counts=np.array(counts, dtype=np.int64),
            groups=np.zeros(len(counts), dtype=np.uint8),
        )

    return make


@pytest.fixture
def declare() -> Callable[..., ltcore.Loss]:
    """By name and parameters, as a spec does."""
    by_name = {loss.name: loss for loss in ltcore_losses.ltcore_register_losses()}
    return lambda name, **parameters: by_name[name](**parameters)


@pytest.fixture
def build(declare, make_classes) -> Callable[..., ltcore.PerSampleLoss]:
    """By name, class counts and parameters; deaf to the warning that no class is rare."""

    def make(name: str, counts: Sequence[int], **parameters) -> ltcore.PerSampleLoss:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ltcore.LtcoreWarning)
            return declare(name, **parameters).build(make_classes(counts))

    return make
