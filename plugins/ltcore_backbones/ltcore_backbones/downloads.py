"""Files of published weights, from the caches of torch.hub and the Hugging Face hub or the network.

Nothing here waits long for a network that is not there, and every message says where a file that
was fetched elsewhere has to lie.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import torch
from huggingface_hub import (
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)

import ltcore

PATIENCE = 20.0
"""Seconds to wait for a server that does not answer."""

_HASH = re.compile(r"-([0-9a-f]{8,})\.")
_HUB_FILE = "model.safetensors"


def torch_hub_file(url: str) -> str:
    """The file of an address, in the folder where torch.hub and torchvision keep theirs.

    A download is checked against the start of its SHA-256 where its name holds one.

    Args:
        url: of the file.

    Raises:
        SurroundingsError: it is not in the folder and cannot be downloaded.
    """
    name = Path(urlparse(url).path).name
    file = Path(torch.hub.get_dir(), "checkpoints", name)
    if file.is_file():
        return str(file)
    digits = _HASH.search(name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with _impatient_sockets():
            torch.hub.download_url_to_file(
                url, str(file), digits and digits[1], progress=sys.stderr.isatty()
            )
    except (OSError, http.client.HTTPException, RuntimeError) as error:
        raise ltcore.SurroundingsError(
            f"backbone.weights: {url} cannot be downloaded ({error}). Put that file into "
            f"{file.parent} (TORCH_HOME moves it), or train from scratch with null."
        ) from error
    return str(file)


def hugging_face_file(repository: str) -> str:
    """The file of a repository's weights, in the cache of the Hugging Face hub.

    Args:
        repository: ``owner/name``.

    Raises:
        SurroundingsError: it is not in the cache and cannot be downloaded.
    """
    cached = try_to_load_from_cache(repository, _HUB_FILE)
    if isinstance(cached, str):
        return cached
    url = hf_hub_url(repository, _HUB_FILE)
    try:
        # Asked first, because a download tries for most of a minute before it gives up.
        get_hf_file_metadata(url, timeout=PATIENCE)
        return hf_hub_download(repository, _HUB_FILE)
    except Exception as error:  # of requests or httpx: the version of the hub's client decides
        raise ltcore.SurroundingsError(
            f"backbone.weights: {url} cannot be downloaded ({error}). Give the path of that file "
            f"as weights, or put the folder models--{repository.replace('/', '--')} of another "
            f"machine's cache into {constants.HF_HUB_CACHE} (HF_HOME moves it), or train from "
            "scratch with null."
        ) from error


@contextlib.contextmanager
def _impatient_sockets() -> Iterator[None]:
    """Let sockets that are opened inside give up in time: torch.hub sets no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
