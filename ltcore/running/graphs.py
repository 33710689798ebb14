"""A model whose training pass on CUDA is launched at once, not kernel after kernel."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from ltcore.errors import SpecError, one_line
from ltcore.ranks import Rank
from ltcore.running.devices import autocast
from ltcore.spec import Training

_WARN_OF_STREAMS = "set_warn_on_accumulate_grad_stream_mismatch"


class GraphedModel(nn.Module):
    """The model as a training step calls it: forward and backward as CUDA graphs.

    Small models of small images wait for kernels to be launched; a graph launches all that it has
    recorded. What is recorded has one batch size, so a batch of another size goes through the model
    itself, as evaluation does. Weights and buffers are the model's own. Gradients lie where the
    next pass writes its own, so that they must be None before each (``set_to_none``).

    Args:
        model: on its device; recording leaves its buffers as they were.
        images: (N, 3, S, S) of the batch size to record, channels last in memory.
        precision: ``fp32``, ``bf16`` or ``fp16``.

    Raises:
        RuntimeError: the model cannot be recorded: it reads numbers back, say.
        UserWarning: it launches nothing on the current device.
    """

    def __init__(self, model: nn.Module, images: Tensor, precision: str) -> None:
        super().__init__()
        self._model, self._shape = model, images.shape
        before = [buffer.clone() for buffer in model.buffers()]
        # A module of its own is recorded, so that the model keeps its forward.
        whole = nn.Sequential(model).train()
        torch.cuda.graph.default_capture_stream = None  # it may be another device's
        # Gradients are added up on the stream on which they were recorded, which is no mistake.
        if quiet := getattr(torch.autograd.graph, _WARN_OF_STREAMS, None):
            quiet(False)
        # A copy of the weights in half precision that autocast kept would never change again.
        with (
            torch.cuda.stream(torch.cuda.current_stream()),  # put back where recording fails
            autocast(images.device, precision, cached=False),
            warnings.catch_warnings(),
        ):
            warnings.filterwarnings("error", ".*CUDA Graph is empty")
            recorded = torch.cuda.make_graphed_callables(whole, (images,), allow_unused_input=True)
        self._graphed = cast("Callable[[Tensor], Tensor]", recorded)
        for buffer, value in zip(model.buffers(), before, strict=True):
            buffer.copy_(value)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, S, S) -> logits (n, K)."""
        call = self._graphed if images.shape == self._shape else self._model
        return call(images)


def refuse_what_has_no_graph(training: Training, device: torch.device, rank: Rank) -> None:
    """Refuse CUDA graphs, where they are asked for, of a run that cannot have them.

    Raises:
        SpecError: the device is not CUDA, or the model is shared by ranks or compiled.
    """
    problem = None
    if device.type != "cuda":
        problem = f"CUDA alone records graphs, and this run computes on {device}"
    elif not rank.alone:
        problem = f"the gradients of {rank.of} ranks are exchanged while they are computed"
    elif training.compile:
        problem = "the model is compiled; choose one of the two"
    if training.cuda_graphs and problem:
        raise SpecError(f"training.cuda_graphs: {problem}. Set it to false.")


def graphed(model: nn.Module, training: Training, size: int, device: torch.device) -> GraphedModel:
    """Record the training pass of a run.

    Raises:
        SpecError: the model cannot be recorded.
    """
    shape = (training.batch_size, 3, size, size)
    images = torch.zeros(shape, device=device).contiguous(memory_format=torch.channels_last)
    try:
        return GraphedModel(model, images, training.precision)
    except torch.OutOfMemoryError:
        raise
    # AssertionError of a buffer with a gradient, UserWarning of a graph without kernels
    except (RuntimeError, AssertionError, UserWarning) as error:
        raise SpecError(
            f"training.cuda_graphs: the model cannot be recorded ({one_line(error)}). Set it to "
            "false."
        ) from error
