"""check_dataset: each rule catches the data set that breaks it, a sound one passes them all."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

import ltcore
from ltcore.testing import ConformanceError, check_dataset
from ltcore.testing.declarations import DECLARATION

COUNTS = np.array([120, 30, 8])


def pictures(split, counts, seed, largest=150):
    """Images that are functions of their ids, the first of each class in the order of the seed."""
    labels = np.repeat(np.arange(len(counts)), largest)
    ids = np.array([f"{split}/{label}/{i}" for i, label in enumerate(labels)])
    chosen = ltcore.protocol.draw_per_class(labels, ids, np.asarray(counts), seed)
    values = (chosen % 251).astype(np.uint8)[:, None, None, None]
    images = np.broadcast_to(values, (len(chosen), 3, 2, 2)).copy()
    return ltcore.Split(images, labels[chosen], ids[chosen])


class Sound(ltcore.Dataset):
    """Three classes of plain pictures."""

    name: ClassVar[str] = "sound"
    test_counts: ClassVar[tuple[int, ...]] = (5, 5, 5)

    def build(self, seeds):
        rank = ltcore.protocol.ranks(COUNTS)
        test = self.test(seeds)
        views = ltcore.protocol.evaluation_views(
            test.labels, test.ids, train_counts=COUNTS, rank=rank, factor=0.1, seed=seeds.split
        )
        test = replace(test, views=self.views(views))
        classes = ltcore.Classes(
            ("red", "green", "blue"), COUNTS, ltcore.protocol.class_groups(rank)
        )
        val = pictures("val", [4, 4, 4], seeds.split)
        return ltcore.Splits(self.train(seeds), val, test, classes)

    def train(self, seeds):
        return pictures("train", COUNTS, seeds.data)

    def test(self, seeds):
        return pictures("test", self.test_counts, seeds.split)

    def views(self, views):
        return views


def made(**declared):
    """A component like the sound one, but for methods or class variables."""
    return type(Sound)("Made", (Sound,), {"__doc__": "It.", "__module__": __name__, **declared})


def changed_splits(**change):
    """A data set of which something is replaced once it is built."""

    def build(self, seeds):
        splits = Sound.build(self, seeds)
        return replace(splits, **{name: new(splits) for name, new in change.items()})

    return made(build=build)


def _pictures_by_number(self, seeds):
    split = pictures("train", COUNTS, seeds.data)
    return replace(split, ids=np.array([f"train/{i}" for i in range(len(split))]))


def _train_by_luck(self, seeds):
    return pictures("train", COUNTS, int(np.random.default_rng().integers(10**9)))


def _unsorted(views):
    return {**views, "long_tailed": views["long_tailed"][::-1]}


BROKEN = [
    ("builds_splits", made(build=lambda self, seeds: None)),
    ("gives_the_same_for_the_same_seeds", made(train=_train_by_luck)),
    (
        "holds_out_by_the_split_seed_alone",
        made(test=lambda self, seeds: pictures("test", [5] * 3, seeds.data)),
    ),
    (
        "draws_by_the_data_seed_alone",
        made(train=lambda self, seeds: pictures("train", COUNTS, seeds.init)),
    ),
    ("names_one_image_by_one_id", made(train=_pictures_by_number)),
    ("declares_whether_val_is_test", changed_splits(val=lambda splits: splits.test)),
    ("declares_whether_val_is_test", made(val_is_test=property(lambda self: True))),
    (
        "has_its_image_files",
        changed_splits(
            train=lambda splits: replace(
                splits.train, images=ltcore.ImageFiles(tuple(splits.train.ids.tolist()))
            )
        ),
    ),
    (
        "groups_are_thirds",
        changed_splits(
            classes=lambda splits: replace(splits.classes, groups=np.zeros(3, dtype=np.uint8)),
            test=lambda splits: replace(
                splits.test, views={"balanced": splits.test.views["balanced"]}
            ),
        ),
    ),
    ("views_hold_what_they_are_called", made(views=lambda self, views: {})),
    (
        "views_hold_what_they_are_called",
        made(views=lambda self, views: _unsorted(views)),
    ),
    (
        "views_hold_what_they_are_called",
        made(views=lambda self, views: {**views, "few": views["many"]}),
    ),
    (
        "views_hold_what_they_are_called",
        made(views=lambda self, views: {"all": views["balanced"]}),
    ),
]

# Rules that cannot be broken alone.
ALSO_BROKEN = {"gives_the_same_for_the_same_seeds": {"draws_by_the_data_seed_alone"}}


@pytest.mark.parametrize(("rule", "component"), BROKEN)
def test_broken_dataset_is_caught_by_the_rule_that_it_breaks(rule, component):
    with pytest.raises(ConformanceError) as caught:
        check_dataset(component)
    assert caught.value.broken.keys() == {rule} | ALSO_BROKEN.get(rule, set())


def test_sound_dataset_passes_every_rule_that_catches_a_broken_one():
    rules = {rule for rule, _ in BROKEN} | {rule.__name__ for rule in DECLARATION}
    assert set(check_dataset(Sound)) == rules - {
        "declaring_imports_no_torch",
        "has_its_image_files",
    }
