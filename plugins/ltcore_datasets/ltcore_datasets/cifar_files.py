"""The files of an official CIFAR archive, whole and unaltered, or an error; none is opened here."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import ltcore
from ltcore_datasets.cifar_releases import Release


def archived_files(release: Release, root: Path) -> dict[str, bytes]:
    """The files inside ``root/<archive>``, by name. Nothing is extracted to the disk.

    Raises:
        DataError: the archive's SHA-256 is not the official one.
    """
    path = root / release.archive
    # What is checked is what is used, whatever happens to the file meanwhile.
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != release.sha256:
        raise ltcore.DataError(
            f"{path} is incomplete or was tampered with: its SHA-256 is {found}. Delete it; then "
            f"set dataset.download to true, or {release.where_to_put_it(root)}."
        )
    files = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for name in release.files:
            member = archive.extractfile(f"{release.folder}/{name}")
            if member is not None:
                files[name] = member.read()
    return files


def extracted_files(release: Release, root: Path) -> dict[str, bytes]:
    """The files in ``root/<folder>``, where somebody has extracted the archive, by name.

    Raises:
        DataError: a file is missing, or its MD5 is not the official one.
    """
    folder = root / release.folder
    files = {}
    for name, md5 in release.files.items():
        path = folder / name
        if not path.is_file():
            problem = "is missing"
        else:
            files[name] = path.read_bytes()
            found = hashlib.md5(files[name], usedforsecurity=False).hexdigest()
            if found == md5:
                continue
            problem = f"is incomplete or was tampered with: its MD5 is {found}, not {md5}"
        raise ltcore.DataError(
            f"{path} {problem}. Delete {folder}; then set dataset.download to true, or "
            f"{release.where_to_put_it(root)}."
        )
    return files
