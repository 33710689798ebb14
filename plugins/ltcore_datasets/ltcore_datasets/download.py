"""Fetching an official archive, through torchvision."""

from __future__ import annotations

import tempfile
import threading
import urllib.request
from pathlib import Path

import ltcore
from ltcore_datasets.cifar_releases import Release

SECONDS_TO_ANSWER = 4.0


def fetch(release: Release, root: Path) -> None:
    """Put the archive into the folder, whole or not at all. Whoever reads it checks its SHA-256.

    Raises:
        DataError: the address does not answer within seconds, or does not give the archive.
    """
    try:
        _require_answer(release.url)
        # Imported only now: it takes seconds, in which an unreachable address can be told.
        from torchvision.datasets.utils import download_url

        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as folder:
            download_url(release.url, folder, filename=release.archive, md5=release.md5)
            (Path(folder) / release.archive).replace(root / release.archive)
    except (OSError, RuntimeError) as error:
        raise ltcore.DataError(
            f"{release.title} could not be downloaded: {error}. Without a network, "
            f"{release.where_to_put_it(root)}."
        ) from error


def _require_answer(url: str) -> None:
    """Ask for the head of a page in a thread of its own: a resolver may hang for minutes."""
    outcome: list[OSError | None] = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310  (a constant of ours)
        try:
            urllib.request.urlopen(request, timeout=SECONDS_TO_ANSWER).close()  # noqa: S310
        except OSError as error:
            outcome.append(error)
        else:
            outcome.append(None)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(SECONDS_TO_ANSWER)
    if not outcome:
        raise TimeoutError(f"{url} did not answer within {SECONDS_TO_ANSWER:g} seconds")
    if outcome[0] is not None:
        raise outcome[0]
