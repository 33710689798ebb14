"""What the tests of the data sets share: a tiny CIFAR in all its forms, and the real one's folders.

The tiny releases have the layout of the real ones, 4 classes, 12 training and 5 test images of
each, and checksums of their own in place of the official ones.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ltcore
from ltcore_datasets.cifar_releases import RELEASES, Release
from ltcore_datasets.cifar_sets import OfficialSets, open_sets
from ltcore_datasets.pool import Pool

NAMES = ("ant", "bee", "cat_fish", "dog")
SIZES = {"train": 12, "test": 5}


def pickled(value) -> bytes:
    """The value as Python 2 and the NumPy of 2009 pickled it: text as byte strings, protocol 2."""
    return b"\x80\x02" + _opcodes(value) + b"."


def _opcodes(value) -> bytes:
    match value:
        case bytes():
            return b"T" + struct.pack("<i", len(value)) + value
        case int():
            return b"J" + struct.pack("<i", value)
        case list():
            return b"](" + b"".join(map(_opcodes, value)) + b"e"
        case dict():
            return b"}(" + b"".join(_opcodes(x) for pair in value.items() for x in pair) + b"u"
    rows, columns = map(_opcodes, value.shape)
    dtype = b"cnumpy\ndtype\n" + _opcodes(b"u1") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + _opcodes(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    array += b"K\x00\x85" + _opcodes(b"b") + b"\x87R"
    array += b"(K\x01" + rows + columns + b"\x86" + dtype + b"\x89"
    return array + _opcodes(value.tobytes()) + b"tb"


@dataclass(frozen=True)
class Tiny:
    """A tiny release and the roots that hold it, each in one form."""

    name: str
    release: Release
    archive: Path
    extracted: Path
    folders: Path
    images: dict[str, np.ndarray]  # id -> (32, 32, 3)


def make_tiny(name: str, base: Path) -> Tiny:
    official = RELEASES[name]
    random = np.random.default_rng(0)
    files, images = {}, {}
    for split, parts in (("train", official.train_files), ("test", official.test_files)):
        labels = random.permutation(np.repeat(np.arange(len(NAMES)), SIZES[split]))
        pixels = random.integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
        file_names = [f"{n:06d}.png" for n in random.permutation(len(labels))]
        for image, label, file_name in zip(pixels, labels, file_names, strict=True):
            images[f"{split}/{NAMES[label]}/{file_name}"] = image
        batches = np.array_split(np.arange(len(labels)), len(parts))
        for part, members in zip(parts, batches, strict=True):
            files[part] = pickled(
                {
                    b"batch_label": b"part",
                    b"filenames": [file_names[m].encode() for m in members],
                    b"data": pixels[members].transpose(0, 3, 1, 2).reshape(-1, 3072),
                    official.labels_key: [int(labels[m]) for m in members],
                }
            )
    meta = official.meta_file[0]
    files[meta] = pickled({official.names_key: [n.encode() for n in NAMES]})

    roots = {form: base / name / form for form in ("archive", "extracted", "folders")}
    for root in roots.values():
        root.mkdir(parents=True)
    archive = roots["archive"] / official.archive
    with tarfile.open(archive, "w:gz") as tar:
        for file, data in files.items():
            member = tarfile.TarInfo(f"{official.folder}/{file}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    (roots["extracted"] / official.folder).mkdir()
    for file, data in files.items():
        (roots["extracted"] / official.folder / file).write_bytes(data)
    for image_id, image in images.items():
        path = roots["folders"] / image_id
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)

    md5 = {file: hashlib.md5(data).hexdigest() for file, data in files.items()}
    release = replace(
        official,
        sha256=hashlib.sha256(archive.read_bytes()).hexdigest(),
        md5=hashlib.md5(archive.read_bytes()).hexdigest(),
        train_files={part: md5[part] for part in official.train_files},
        test_files={part: md5[part] for part in official.test_files},
        meta_file=(meta, md5[meta]),
        num_classes=len(NAMES),
        train_per_class=SIZES["train"],
        test_per_class=SIZES["test"],
    )
    return Tiny(name, release, images=images, **roots)


@pytest.fixture(params=["cifar100", "cifar10"])
def tiny(request, tmp_path, monkeypatch) -> Tiny:
    made = make_tiny(request.param, tmp_path)
    monkeypatch.setitem(RELEASES, request.param, made.release)
    return made


@pytest.fixture
def tiny100(tmp_path, monkeypatch) -> Tiny:
    made = make_tiny("cifar100", tmp_path)
    monkeypatch.setitem(RELEASES, "cifar100", made.release)
    return made


@pytest.fixture(scope="session")
def generated() -> OfficialSets:
    """A CIFAR-100 of names alone, whose every pixel is black, in an archive's shuffled order."""

    def pool(split: str, per_class: int) -> Pool:
        ids = [f"{split}/class_{j:02d}/{i:04d}.png" for j in range(100) for i in range(per_class)]
        return Pool(
            np.repeat(np.arange(100), per_class),
            np.array(ids),
            lambda indices: np.zeros((len(indices), 3, 1, 1), dtype=np.uint8),
        )

    positions = np.random.default_rng(0).permutation(50_000)
    names = tuple(f"class_{j:02d}" for j in range(100))
    return OfficialSets(names, pool("train", 500), pool("test", 100), positions)


@pytest.fixture
def build_generated(generated, monkeypatch):
    """Build a CIFAR-100 component from names alone, at its full size."""
    monkeypatch.setattr("ltcore_datasets.cifar_splits.open_sets", lambda *_, **__: generated)
    return lambda component, **seeds: component.build(ltcore.Seeds(**seeds))


@pytest.fixture(scope="session")
def real_root() -> Path:
    if "LTCORE_TEST_CIFAR100" not in os.environ:
        pytest.skip("LTCORE_TEST_CIFAR100 names no folder with CIFAR-100's class folders")
    return Path(os.environ["LTCORE_TEST_CIFAR100"])


@pytest.fixture(scope="session")
def real(real_root) -> OfficialSets:
    """The real CIFAR-100, listed and not decoded."""
    return open_sets(RELEASES["cifar100"], real_root)
