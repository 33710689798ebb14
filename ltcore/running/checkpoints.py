"""A run's checkpoint: all that training goes on from, published whole or not at all.

``<out>/<name>/checkpoint.pt`` holds tensors and plain values alone, so that it is read with
``weights_only=True``. There is one: a new one takes the old one's place when it is complete.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ltcore.errors import CheckpointError, LtcoreError, one_line
from ltcore.publishing import Writing, publishing
from ltcore.running.group import Group
from ltcore.running.training import TrainingState
from ltcore.stopping import StopRequest

VERSION = 1


class Checkpoints:
    """Keeps one run's checkpoint while it trains: the first rank does, for all.

    Args:
        path: the checkpoint's file.
        group: the ranks that train together, and stop together.
        minutes: how long an epoch may go on without one.
        stop: asks training to stop at its next step.
        clock: seconds that go on evenly.
    """

    def __init__(
        self,
        path: Path,
        group: Group,
        *,
        minutes: float,
        stop: StopRequest,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._group = group
        self._seconds = 60 * minutes
        self._stop = stop
        self._clock = clock
        self._saved_at = clock()

    def restore(self, state: TrainingState) -> bool:
        """Go on from the checkpoint; whether there is one.

        Raises:
            CheckpointError: it is damaged, or another ltcore's.
        """
        source = self._group.share_file(self._path)
        if source is None:
            return False
        try:
            saved = torch.load(source, map_location="cpu", weights_only=True)
            if saved["version"] != VERSION:
                raise CheckpointError(self._unusable(f"it has version {saved['version']}"))
            state.load_state_dict(saved["state"])
        except LtcoreError:  # a stop, say
            raise
        except Exception as error:  # what torch raises on damage is not settled
            raise CheckpointError(self._unusable(one_line(error))) from None
        self._saved_at = self._clock()
        return True

    def between_steps(self, state: TrainingState) -> None:
        """Save where it is time to, or where a stop is asked for.

        Raises:
            StoppedError: a stop was asked for; the checkpoint is saved.
            NonFiniteError: a loss, gradient or logit is not finite; nothing is saved.
            SurroundingsError: disk full, or no permission; the old checkpoint is as it was.
        """
        asked = self._group.agrees_to_stop(self._stop)
        if asked or self._clock() - self._saved_at >= self._seconds:
            self.save(state)
        if asked:
            self._stop.refuse()

    def save(self, state: TrainingState) -> None:
        """Put the state in the place of the old checkpoint.

        Raises:
            NonFiniteError: a loss, gradient or logit is not finite; nothing is saved.
            SurroundingsError: disk full, or no permission; the old checkpoint is as it was.
        """
        state.refuse_non_finite()
        self._saved_at = self._clock()
        if not self._group.rank.first:
            return
        content = {"version": VERSION, "state": state.state_dict()}
        temporary = self._path.with_suffix(".tmp")
        with publishing(self._path, temporary, _nbytes(content)), Writing(temporary) as file:
            # tensor after tensor, so that all of it is never in memory twice
            torch.save(content, file)  # type: ignore[arg-type]

    def _unusable(self, cause: str) -> str:
        return (
            f"{self._path}: cannot go on from this checkpoint: {cause}. Start the run anew with "
            "--fresh, or put a copy of the file back."
        )


def _nbytes(content: Any) -> int:
    """What the tensors of nested dictionaries and lists take."""
    if isinstance(content, torch.Tensor):
        return content.nbytes
    if isinstance(content, dict):
        content = list(content.values())
    return sum(map(_nbytes, content)) if isinstance(content, list) else 0


def publish_weights(model: nn.Module, path: Path) -> None:
    """Write a model's weights as safetensors: whole, or not at all.

    Raises:
        SurroundingsError: disk full, or no permission.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors, places = {}, set()
    for name, value in model.state_dict().items():
        tensor = value.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if place in places else tensor  # none may share its place
        places.add(place)
    folder = path.with_suffix("")
    temporary = folder / "weights.tmp"
    with publishing(path, temporary, _nbytes(tensors)):
        for left in folder.glob(".tmp*"):  # by a kill, of safetensors' own temporary file
            left.unlink()
        temporary.touch()
        mode = temporary.stat().st_mode
        try:
            save_file(tensors, temporary)
        except SafetensorError as error:
            if number := re.search(r"(?:os error|code:) (\d+)", str(error)):
                raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
            raise
        temporary.chmod(mode)  # its own file is nobody's but the owner's
