"""What plugins give at run time, checked without reading a tensor, and named where it is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ltcore.errors import LtcoreError, PluginError, SurroundingsError


def check_logits(logits: Tensor, labels: Tensor, epoch: int, step: int) -> None:
    """Refuse what is not a tensor of (N, K) floating numbers.

    Raises:
        PluginError: naming epoch and step.
    """
    problem = ""
    if not isinstance(logits, Tensor):
        problem = f"a {type(logits).__name__}"
    elif logits.ndim != 2 or len(logits) != len(labels):
        problem = f"a tensor of shape {tuple(logits.shape)} for {len(labels)} images"
    elif not logits.is_floating_point():
        problem = f"a tensor of {logits.dtype}"
    if problem:
        raise PluginError(
            f"backbone: epoch {epoch}, step {step}: the model gave {problem}; "
            "it must give floating-point logits of shape (N, K)"
        )


def check_loss_value(loss: Tensor, epoch: int, step: int) -> None:
    """Refuse what is not a real scalar with a gradient.

    Raises:
        PluginError: naming epoch and step.
    """
    problem = ""
    if not isinstance(loss, Tensor):
        problem = f"a {type(loss).__name__}"
    elif loss.ndim:
        problem = f"a tensor of shape {tuple(loss.shape)}"
    elif not loss.is_floating_point():
        problem = f"a tensor of {loss.dtype}"
    elif not loss.requires_grad:
        problem = "a value without gradient (detached?)"
    if problem:
        raise PluginError(
            f"loss: epoch {epoch}, step {step}: the criterion gave {problem}; "
            "it must give one real number with a gradient"
        )


@contextmanager
def blame(what: str) -> Iterator[None]:
    """Turn an unforeseen exception into an error that says whose it is.

    Args:
        what: the component and its distribution, for the message.

    Raises:
        SurroundingsError: the device's memory is full.
        LtcoreError: any other exception, with the original as its cause.
    """
    try:
        yield
    except LtcoreError:
        raise
    except torch.OutOfMemoryError as error:
        raise SurroundingsError(
            "the device's memory is full. Lower training.batch_size or transform.size, or set "
            "training.precision to bf16."
        ) from error
    except Exception as error:
        raise LtcoreError(f"{what} raised {type(error).__name__}: {error}") from error
