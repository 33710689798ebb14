"""What plugins give at run time, checked without reading a tensor, and named where it is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ltcore.errors import LtcoreError, PluginError, SpecError, SurroundingsError, flat, one_line


def check_logits(logits: Tensor, images: Tensor, epoch: int, step: int) -> None:
    """Refuse what is not a tensor of (N, K) floating numbers, while training.

    Raises:
        PluginError: naming epoch and step.
    """
    _check_logits(logits, len(images), f"epoch {epoch}, step {step}")


def check_predicted_logits(logits: Tensor, images: Tensor) -> None:
    """Refuse what is not a tensor of (N, K) floating numbers, while evaluating.

    Raises:
        PluginError: naming what it was.
    """
    _check_logits(logits, len(images), "evaluation")


def _check_logits(logits: Tensor, n: int, where: str) -> None:
    problem = ""
    if not isinstance(logits, Tensor):
        problem = f"a {type(logits).__name__}"
    elif logits.ndim != 2 or len(logits) != n:
        problem = f"a tensor of shape {tuple(logits.shape)} for {n} images"
    elif not logits.is_floating_point():
        problem = f"a tensor of {logits.dtype}"
    if problem:
        raise PluginError(
            f"backbone: {where}: the model gave {problem}; "
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


def has_non_finite(tensors: list[Tensor]) -> Tensor:
    """Whether any of them holds a NaN or an infinity: a () bool on their device, not read.

    By the operation with which PyTorch's own gradient scaler looks: it goes over each tensor once,
    and on a GPU over many at once. It also multiplies them by 1, which changes nothing.

    Args:
        tensors: real floating ones, at least one, all on one device.
    """
    device = tensors[0].device
    if device.type not in ("cpu", "cuda"):
        return ~torch.isfinite(torch.nn.utils.get_total_norm(tensors))
    found, one = torch.zeros((), device=device), torch.ones((), device=device)
    torch._amp_foreach_non_finite_check_and_unscale_(tensors, found, one)
    return found > 0


def refuse_what_is_not_deterministic(error: BaseException, what: str) -> None:
    """Say it in ltcore's words where PyTorch has refused an operation for that.

    Args:
        error: what was raised.
        what: the component that was running, for the message.

    Raises:
        SpecError: deterministic algorithms are asked for, and an operation has none.
    """
    if torch.are_deterministic_algorithms_enabled() and "eterministic" in str(error):
        raise SpecError(
            f"training.deterministic: {what} uses an operation that has no deterministic algorithm "
            f"({flat(str(error)).partition(',')[0]}). Set it to false, or choose another component."
        ) from error


@contextmanager
def blame(what: str) -> Iterator[None]:
    """Turn an unforeseen exception into an error that says whose it is.

    Args:
        what: the component and its distribution, for the message.

    Raises:
        SurroundingsError: the memory, of the device or the machine, is full.
        LtcoreError: any other exception, with the original as its cause.
    """
    try:
        yield
    except PluginError as error:
        raise PluginError(f"{error} ({what})") from error
    except LtcoreError:
        raise
    except (Exception, SystemExit) as error:  # a stranger's code
        refuse_what_is_not_deterministic(error, what)
        if _is_out_of_memory(error):
            raise SurroundingsError(
                f"{what}: the memory is full ({one_line(error)}). Lower training.batch_size or "
                "transform.size, or set training.precision to bf16."
            ) from error
        raise LtcoreError(f"{what} raised {one_line(error)}") from error


def _is_out_of_memory(error: BaseException) -> bool:
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)
