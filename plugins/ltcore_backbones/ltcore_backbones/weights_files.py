"""Weights in a file: reading them without running code, loading all but the last layer."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

import ltcore

_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
_SHOWN = 3


def is_file(weights: str) -> bool:
    """Whether a spec's ``weights`` name a file: by a separator or a suffix, not by what exists."""
    return "/" in weights or "\\" in weights or weights.endswith(_SUFFIXES)


def read_weights(path: str) -> Mapping[str, Tensor]:
    """Read a state dict: safetensors by its suffix, else what ``torch.save`` wrote.

    Args:
        path: of the file; a relative one starts at the working directory.

    Raises:
        SurroundingsError: the file is missing, unreadable or damaged.
        SpecError: it holds something else than a state dict, or would execute code.
    """
    if not Path(path).is_file():
        raise ltcore.SurroundingsError(
            f"backbone.weights: there is no file {path!r} (from {Path.cwd()}); give the path of a "
            "state dict, or null"
        )
    try:
        if path.endswith(".safetensors"):
            state: object = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ltcore.SpecError(
            f"backbone.weights: {path!r} was not loaded: it is no file of plain tensors "
            f"({_first_line(error)}). Save the state dict alone, best with safetensors."
        ) from None
    except (OSError, RuntimeError, EOFError, SafetensorError) as error:
        raise ltcore.SurroundingsError(
            f"backbone.weights: {path!r} cannot be read ({_first_line(error)}); the file is "
            "damaged or of another format than its suffix says"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ltcore.SpecError(
            f"backbone.weights: {path!r} holds {_description(state)}, not a state dict (names to "
            "tensors); save the state dict alone, best with safetensors"
        )
    return state


def load_weights(model: nn.Module, state: Mapping[str, Tensor], *, head: str, source: str) -> None:
    """Load a state dict into everything but the last layer, which is always new.

    Args:
        model: changed in place.
        state: names to tensors; those of the last layer are passed over.
        head: the name of the last layer.
        source: where the state dict is from, for the message.

    Raises:
        SpecError: tensors are missing, superfluous or of another shape.
    """
    own = model.state_dict()
    given = {name: tensor for name, tensor in state.items() if not name.startswith(f"{head}.")}
    reshaped = {
        name: f"{name} {tuple(tensor.shape)} instead of {tuple(own[name].shape)}"
        for name, tensor in given.items()
        if name in own and tensor.shape != own[name].shape
    }
    fitting = {name: tensor for name, tensor in given.items() if name not in reshaped}
    result = model.load_state_dict(fitting, strict=False)
    missing = [
        name
        for name in result.missing_keys
        if name not in reshaped and not name.startswith(f"{head}.")
    ]
    found = {
        "missing": missing,
        "superfluous": result.unexpected_keys,
        "of another shape": list(reshaped.values()),
    }
    if any(found.values()):
        parts = [f"{len(v)} {what} ({_some(v)})" for what, v in found.items() if v]
        raise ltcore.SpecError(
            f"backbone.weights: {source!r} does not fit {type(model).__name__}. Tensors: "
            f"{'; '.join(parts)}. Only those of the last layer, {head!r}, may differ."
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _description(value: object) -> str:
    if not isinstance(value, Mapping):
        return f"a {type(value).__name__}"
    return f"a mapping of {_some([str(key) for key in value])}"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
