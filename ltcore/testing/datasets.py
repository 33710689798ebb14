"""The check of a data set: what depends on which seed, and what the views and groups hold."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ltcore.components import Dataset, Seeds
from ltcore.protocol import FEW_SHOT, MANY_SHOT
from ltcore.splits import GROUP_NAMES, ImageFiles, Split, Splits
from ltcore.testing.conformance import BrokenRuleError, NotApplicableError, Stage, run_rules
from ltcore.testing.declarations import DECLARATION, instance_of, label_of

_SEEDS = Seeds()
_OTHER_DRAW = Seeds(data=7)
_OTHER_TRAINING = Seeds(init=7, order=7)


def check_dataset(
    component: Dataset | type[Dataset], *, skip: Collection[str] = ()
) -> tuple[str, ...]:
    """Check the rules that a run relies on in a data set.

    It is built five times, and its images must be there.

    Args:
        component: with the parameters to check; a class stands for its defaults.
        skip: names of rules that this data set breaks on purpose.

    Returns:
        The names of the rules that were looked at, at least one.

    Raises:
        ConformanceError: with every rule that is broken, what was found and what is expected.
    """
    dataset = instance_of(component, Dataset)  # type: ignore[type-abstract]
    subject = _Subject(dataset)
    stages = (
        Stage(DECLARATION, dataset),
        Stage((builds_splits,), subject, essential=True),
        Stage(_RULES, subject),
    )
    return run_rules(stages, label=label_of(dataset), skip=skip)


@dataclass(frozen=True)
class _Subject:
    """A data set, and what it built for some seeds."""

    component: Dataset
    _built: dict[Seeds, Splits] = field(default_factory=dict)

    def splits(self, seeds: Seeds = _SEEDS) -> Splits:
        """What it builds, the same object each time: an image takes long to read."""
        if seeds not in self._built:
            self._built[seeds] = self.component.build(seeds)
        return self._built[seeds]


def builds_splits(subject: _Subject) -> None:
    """``build(seeds)`` gives ``ltcore.Splits``, which refuse parts that do not fit together."""
    splits = subject.component.build(_SEEDS)
    if not isinstance(splits, Splits):
        raise BrokenRuleError(f"it gave a {type(splits).__name__}")


def gives_the_same_for_the_same_seeds(subject: _Subject) -> None:
    """Built again with the same seeds, ids, labels, images and views are the same, in order."""
    _require_same(subject.splits(), subject.component.build(_SEEDS), ("train", "val", "test"))


def holds_out_by_the_split_seed_alone(subject: _Subject) -> None:
    """Val and test are the same whatever the other seeds are, so that runs can be paired."""
    for seeds in (_OTHER_DRAW, _OTHER_TRAINING):
        _require_same(subject.splits(), subject.splits(seeds), ("val", "test"))


def draws_by_the_data_seed_alone(subject: _Subject) -> None:
    """The training images are the same whatever the seeds of initialisation and order are."""
    _require_same(subject.splits(), subject.splits(_OTHER_TRAINING), ("train",))


def names_one_image_by_one_id(subject: _Subject) -> None:
    """An id that is drawn under two data seeds stands for the same label and image."""
    train, other = subject.splits().train, subject.splits(_OTHER_DRAW).train
    shared, here, there = np.intersect1d(train.ids, other.ids, return_indices=True)
    wrong = train.labels[here] != other.labels[there]
    if isinstance(train.images, ImageFiles) or isinstance(other.images, ImageFiles):
        names = [_file_names(split)[index] for split, index in ((train, here), (other, there))]
        wrong |= names[0] != names[1]
    else:
        wrong |= (train.images[here] != other.images[there]).any(axis=(1, 2, 3))
    if wrong.any():
        raise BrokenRuleError(f"{wrong.sum()} ids do not, {shared[wrong][0]!r} first")


def declares_whether_val_is_test(subject: _Subject) -> None:
    """``val_is_test`` says, before anything is built, whether both are the same images."""
    declared, built = subject.component.val_is_test, subject.splits().val_is_test
    if declared != built:
        raise BrokenRuleError(f"it says {declared}, and val is test is {built}")


def has_its_image_files(subject: _Subject) -> None:
    """Where images are files, each is there."""
    splits = subject.splits()
    named = {"train": splits.train, "val": splits.val, "test": splits.test}
    files = {name: _file_names(split) for name, split in named.items()}
    if not any(map(len, files.values())):
        raise NotApplicableError
    for name, paths in files.items():
        missing = [path for path in paths.tolist() if not Path(path).is_file()]
        if missing:
            raise BrokenRuleError(f"{len(missing)} of {name} are missing, {missing[0]!r} first")


def groups_are_thirds(subject: _Subject) -> None:
    """Of K classes, K // 3 are head (0) and those from 2K // 3 on tail (2), as uint8."""
    groups = subject.splits().classes.groups
    k = len(groups)
    expected = np.diff([0, k // 3, 2 * k // 3, k])
    found = np.bincount(groups, minlength=3)
    if groups.dtype != np.uint8 or not np.array_equal(found, expected):
        raise BrokenRuleError(f"{groups.dtype}, {found.tolist()} classes; not {expected.tolist()}")


def views_hold_what_they_are_called(subject: _Subject) -> None:
    """Each of ltcore's views that is there holds, as int64, ascending, the images of its name.

    :func:`ltcore.protocol.evaluation_views` makes them.
    """
    splits = subject.splits()
    views, labels = splits.test.views, splits.test.labels
    whole = np.arange(len(labels))
    sizes = np.bincount(labels, minlength=len(splits.classes))
    expected = {"balanced" if (sizes == sizes[0]).all() else "all": whole}
    counts = splits.classes.counts[labels]
    expected["many"] = whole[counts > MANY_SHOT]
    expected["medium"] = whole[(counts >= FEW_SHOT) & (counts <= MANY_SHOT)]
    expected["few"] = whole[counts < FEW_SHOT]
    long_tailed = views.get("long_tailed", whole[:0])
    for group, name in enumerate(GROUP_NAMES):
        expected[name] = long_tailed[splits.classes.groups[labels[long_tailed]] == group]
        expected[f"balanced_{name}"] = whole[splits.classes.groups[labels] == group]
    if not views.keys() & {"balanced", "all"}:
        raise BrokenRuleError(f"the whole split is no view; there are {', '.join(views) or 'none'}")
    for name, indices in views.items():
        if indices.dtype != np.int64 or (np.diff(indices) <= 0).any():
            raise BrokenRuleError(f"{name} is {indices.dtype}, or not ascending")
        if name in ("balanced", "all") and name not in expected:
            raise BrokenRuleError(f"the whole split is called {name}, with {sizes.tolist()} images")
        if name in expected and not np.array_equal(indices, expected[name]):
            raise BrokenRuleError(f"{name} holds {len(indices)} images, not its own")


_RULES = (
    gives_the_same_for_the_same_seeds,
    holds_out_by_the_split_seed_alone,
    draws_by_the_data_seed_alone,
    names_one_image_by_one_id,
    declares_whether_val_is_test,
    has_its_image_files,
    groups_are_thirds,
    views_hold_what_they_are_called,
)


def _file_names(split: Split) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    paths = split.images.paths if isinstance(split.images, ImageFiles) else ()
    return np.array(paths, dtype=np.str_)


def _require_same(splits: Splits, again: Splits, names: Collection[str]) -> None:
    for name in names:
        first, second = getattr(splits, name), getattr(again, name)
        for part in ("ids", "labels"):
            if not np.array_equal(getattr(first, part), getattr(second, part)):
                raise BrokenRuleError(f"the {part} of {name} were others")
        if not _same_images(first, second):
            raise BrokenRuleError(f"the images of {name} were others")
        views = {*first.views, *second.views}
        if any(not np.array_equal(first.views.get(v), second.views.get(v)) for v in views):
            raise BrokenRuleError(f"the views of {name} were others")


def _same_images(first: Split, second: Split) -> bool:
    if isinstance(first.images, ImageFiles) or isinstance(second.images, ImageFiles):
        return np.array_equal(_file_names(first), _file_names(second))
    return np.array_equal(first.images, second.images)
