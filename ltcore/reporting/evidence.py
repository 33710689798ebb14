"""What is kept of a run so that it can be compared, image by image, with others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltcore.comparison import Balance, Run
from ltcore.predictions import Predictions, ascend, found_once
from ltcore.reporting.bootstrap import Resampling
from ltcore.reporting.labels import Named, Parameters


@dataclass(frozen=True)
class Images:
    """The test images that runs share, in the order of their ids; equal where the digests are.

    Attributes:
        pairing: digest of ids and labels: runs can be paired where it is equal.
        digest: of ids, labels and views.
        label: (N,) int32.
        views: name -> (n,) int64 indices; the whole split is among them.
    """

    pairing: str
    digest: str
    label: NDArray[np.int32] = field(compare=False)
    views: Mapping[str, NDArray[np.int64]] = field(compare=False)
    _resamplings: dict[str, Resampling] = field(default_factory=dict, repr=False, compare=False)
    _members: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    def resampling(self, view: str) -> Resampling:
        """How the images of a view are resampled: the same for all runs."""
        if view not in self._resamplings:
            self._resamplings[view] = Resampling(self.label[self.views[view]])
        return self._resamplings[view]

    def members(self, view: str) -> int:
        """A bit for each image, the first the highest: whether it is in the view."""
        if view not in self._members:
            among = _is_among(self.views[view], len(self.label))
            self._members[view] = int.from_bytes(packed(among), "big")
        return self._members[view]

    def __getstate__(self) -> dict[str, Any]:
        """Without what can be made again."""
        return {**self.__dict__, "_resamplings": {}, "_members": {}}

    def agree(self, other: Images, view: str) -> bool:
        """Whether both have a view with the same members; their images are the same."""
        one, two = self.views.get(view), other.views.get(view)
        return one is not None and two is not None and np.array_equal(one, two)


@dataclass(frozen=True, slots=True)
class SettingKey:
    """One training set (all but the last) and one recipe."""

    dataset: Named
    classes: tuple[str, ...]
    class_counts: tuple[int, ...]
    images: str
    recipe: Parameters

    @property
    def train(self) -> Balance:
        return "balanced" if len(set(self.class_counts)) == 1 else "long_tailed"

    @property
    def training_set(self) -> tuple[object, ...]:
        return self.dataset, self.classes, self.class_counts, self.images

    @property
    def ratio(self) -> str:
        fewest = min(self.class_counts)
        return f"{max(self.class_counts) / fewest:g}" if fewest else "inf"


@dataclass(frozen=True, eq=False, slots=True)
class Evidence:
    """One run and, of each image, whether it is right.

    Attributes:
        run: the run; its components go by their bare names until those of all runs are known.
        setting: what it may be compared in.
        backbone, loss: its components with their parameters.
        images: that it was tested on.
        packed: whether each is right, eight to a byte.
        replicates: (view, metric) -> (B,) values over the resamples, where they were made.
    """

    run: Run
    setting: SettingKey
    backbone: Named
    loss: Named
    images: Images
    packed: bytes
    replicates: Mapping[tuple[str, str], NDArray[np.float64]]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(N,) whether each image's prediction is its label."""
        return _unpacked(self.packed, len(self.images.label))

    def correct_bits(self, view: str) -> int:
        """The same as bits of an integer, in one view: counted many times as fast."""
        return int.from_bytes(self.packed, "big") & self.images.members(view)


def correct_in(evidence: Iterable[Evidence], view: str) -> NDArray[np.bool_]:
    """Stack what several runs have right in a view: (R, n)."""
    return np.stack([item.correct[item.images.views[view]] for item in evidence])


def in_id_order(test: Predictions) -> Predictions:
    """The same predictions, in the order of their ids, whatever that of the file is."""
    if ascend(test.id):
        return replace(test, views={view: _in_order(of) for view, of in test.views.items()})
    order = np.argsort(test.id)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return replace(
        test,
        logits=test.logits[order],
        prediction=test.prediction[order],
        label=test.label[order],
        id=test.id[order],
        views={view: np.sort(place[indices]) for view, indices in test.views.items()},
    )


def _in_order(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    return indices if np.all(indices[:-1] < indices[1:]) else np.sort(indices)


def images_of(test: Predictions, views: Mapping[str, NDArray[np.int64]]) -> Images:
    """The images of predictions that are in the order of their ids."""
    digest = _digest_of(test.id).copy()
    digest.update(np.ascontiguousarray(test.label).tobytes())
    pairing = digest.hexdigest()
    for view, indices in sorted(views.items()):
        members = _is_among(indices, len(test.label)).tobytes()
        digest.update(view.encode(errors="surrogateescape") + members)
    return Images(pairing, digest.hexdigest(), test.label, views)


@found_once
def _digest_of(ids: NDArray[np.str_]) -> hashlib._Hash:
    return hashlib.sha256("\0".join(ids.tolist()).encode())


def _is_among(indices: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    members = np.zeros(n, dtype=np.bool_)
    members[indices] = True
    return members


def packed(images: NDArray[np.bool_]) -> bytes:
    """Whether each of (N,) images is meant, eight to a byte: an array takes thrice as much."""
    return np.packbits(images).tobytes()


def _unpacked(packed: bytes, n: int) -> NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=n).view(np.bool_)
