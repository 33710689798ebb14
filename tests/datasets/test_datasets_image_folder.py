"""Anybody's own images: where they are found, which are held out, which train, what is refused."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

import ltcore
from ltcore_datasets import ImageFolder


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


def put(folder, counts, suffix=".png"):
    """Empty files in class folders: nothing here opens an image."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for n in range(count):
            (folder / name / f"{n:04d}{suffix}").touch()


def build(root, seeds=None, **parameters):
    return ImageFolder(root=str(root), **parameters).build(ltcore.Seeds(**(seeds or {})))


def message_of(root, **parameters) -> str:
    with pytest.raises(ltcore.DataError) as error:
        build(root, **parameters)
    return str(error.value)


def sizes(splits):
    return len(splits.train), len(splits.val), len(splits.test)


COUNTS = {"cat": 40, "ant": 20, "bee": 10}


def test_a_tree_of_class_folders_gives_all_three_splits(root):
    put(root, COUNTS)
    splits = build(root)
    assert splits.classes.names == ("ant", "bee", "cat")
    assert sizes(splits) == (56, 7, 7)
    assert splits.classes.counts.tolist() == [16, 8, 32]
    assert splits.train.ids[0].startswith("ant/")


def test_ids_are_paths_below_root_and_files_are_where_they_say(root):
    put(root / "train", COUNTS)
    split = build(root).train
    assert isinstance(split.images, ltcore.ImageFiles)
    assert split.images.paths == tuple(f"{root}/{image_id}" for image_id in split.ids)
    assert set(split.ids) <= {f"train/{c}/{n:04d}.png" for c in COUNTS for n in range(40)}


def test_ltcore_s_rules_are_kept(root):
    put(root / "train", COUNTS)
    put(root / "test", dict.fromkeys(COUNTS, 5))
    ltcore.testing.check_dataset(ImageFolder(root=str(root), imbalance_factor=0.5))


def test_folders_of_the_splits_names_are_used(root):
    for split, count in (("train", 9), ("val", 3), ("test", 4)):
        put(root / split, dict.fromkeys(COUNTS, count))
    splits = build(root)
    assert sizes(splits) == (27, 9, 12)
    assert all(image_id.startswith("val/") for image_id in splits.val.ids)


def test_a_split_without_a_folder_is_held_out_of_train(root):
    put(root / "train", dict.fromkeys(COUNTS, 20))
    put(root / "test", dict.fromkeys(COUNTS, 4))
    splits = build(root, holdout=0.25)
    assert sizes(splits) == (45, 15, 12)
    assert all(image_id.startswith("train/") for image_id in splits.val.ids)


def test_a_validation_folder_added_later_leaves_the_test_images_as_they_are(root):
    put(root / "train", COUNTS)
    before = build(root)
    put(root / "val", dict.fromkeys(COUNTS, 2))
    assert build(root).test.ids.tolist() == before.test.ids.tolist()


def test_a_number_is_held_out_of_each_class(root):
    put(root, COUNTS)
    splits = build(root, holdout=3)
    assert np.bincount(splits.test.labels).tolist() == [3, 3, 3]
    assert "balanced" in splits.test.views
    assert splits.classes.counts.tolist() == [14, 4, 34]


def test_a_share_of_a_small_class_is_at_least_one_image(root):
    put(root, {"ant": 3, "bee": 100})
    splits = build(root, holdout=0.01)
    assert splits.classes.counts.tolist() == [1, 98]


def test_the_held_out_images_depend_on_the_split_seed_alone(root):
    put(root, COUNTS)
    first, other = (
        build(root, {"data": 1}, imbalance_factor=0.2),
        build(root, {"data": 2}, imbalance_factor=0.2),
    )
    assert first.test.ids.tolist() == other.test.ids.tolist()
    assert first.val.ids.tolist() == other.val.ids.tolist()
    assert first.train.ids.tolist() != other.train.ids.tolist()
    assert build(root, {"split": 1}).test.ids.tolist() != build(root).test.ids.tolist()


def test_named_folders_are_used(root):
    put(root / "a" / "b", dict.fromkeys(COUNTS, 8))
    put(root / "c", dict.fromkeys(COUNTS, 2))
    splits = build(root, train="a/b", val="c")
    assert splits.train.ids[0].startswith("a/b/ant/")
    assert sizes(splits) == (21, 6, 3)


@pytest.mark.parametrize("places", [{"val": "val", "test": "val"}, {"test": "val"}])
def test_one_folder_can_be_val_and_test(root, places):
    put(root / "train", COUNTS)
    put(root / "val", dict.fromkeys(COUNTS, 3))
    splits = build(root, **places)
    assert splits.val is splits.test
    assert sizes(splits) == (70, 9, 9)


def test_train_as_test_is_refused(root):
    put(root / "train", COUNTS)
    assert "train and test share 67 ids" in message_of(root, test="train", holdout=1)


def test_images_train_as_they_are_by_default(root):
    put(root / "train", COUNTS)
    put(root / "test", dict.fromkeys(COUNTS, 20))
    splits = build(root, holdout=1)
    assert splits.classes.counts.tolist() == [19, 9, 39]
    assert splits.classes.groups.tolist() == [1, 2, 0]
    view = np.bincount(splits.test.labels[splits.test.views["long_tailed"]])
    assert view.tolist() == [int(20 * (9 / 39) ** 0.5), int(20 * (9 / 39)), 20]


def test_a_balanced_set_has_its_whole_test_split_as_its_long_tailed_view(root):
    put(root, dict.fromkeys(COUNTS, 20))
    splits = build(root)
    assert splits.test.views["long_tailed"].tolist() == list(range(len(splits.test)))


def test_an_imbalance_factor_makes_the_classes_with_most_images_frequent(root):
    put(root / "train", {"ant": 20, "bee": 60, "cat": 40})
    put(root / "test", dict.fromkeys(COUNTS, 10))
    put(root / "val", dict.fromkeys(COUNTS, 1))
    splits = build(root, imbalance_factor=0.1)
    assert splits.classes.counts.tolist() == [6, 60, int(60 * 0.1**0.5)]
    view = np.bincount(splits.test.labels[splits.test.views["long_tailed"]])
    assert view.tolist() == [1, 10, 3]


def test_a_class_with_fewer_images_than_its_profile_asks_gives_all(root):
    put(root / "train", {"ant": 60, "bee": 5, "cat": 60})
    put(root / "test", dict.fromkeys(COUNTS, 10))
    put(root / "val", dict.fromkeys(COUNTS, 1))
    splits = build(root, imbalance_factor=0.5, class_order="label")
    assert splits.classes.counts.tolist() == [60, 5, 30]
    assert splits.classes.groups.tolist() == [0, 1, 2]


def test_a_seed_shuffles_which_classes_are_frequent(root):
    put(root / "train", dict.fromkeys("abcdefgh", 20))
    counts = build(root, holdout=1, imbalance_factor=0.1, class_order=3).classes.counts
    assert sorted(counts, reverse=True) == [int(18 * 0.1 ** (r / 7)) for r in range(8)]
    assert counts.tolist() != sorted(counts, reverse=True)


def test_a_step_profile_keeps_the_first_half(root):
    put(root / "train", dict.fromkeys("abcd", 22))
    counts = build(root, holdout=1, imbalance_factor=0.1, profile="step").classes.counts
    assert counts.tolist() == [20, 20, 2, 2]


def test_per_class_is_the_most_that_a_class_trains_on(root):
    put(root / "train", COUNTS)
    assert build(root, holdout=1, per_class=15).classes.counts.tolist() == [15, 8, 15]
    counts = build(root, holdout=1, per_class=15, imbalance_factor=0.2).classes.counts
    assert counts.tolist() == [int(15 * 0.2**0.5), 3, 15]


def test_smaller_factors_are_subsets_of_larger_ones(root):
    put(root, dict.fromkeys(COUNTS, 40))
    drawn = [set(build(root, imbalance_factor=f).train.ids) for f in (1.0, 0.5, 0.1)]
    assert drawn[0] > drawn[1] > drawn[2]


def test_extensions_are_known_in_any_case_and_other_files_are_passed_over(root):
    put(root, COUNTS, suffix=".JPEG")
    (root / "ant" / "notes.txt").touch()
    (root / "ant" / ".hidden.png").touch()
    (root / "readme.png").touch()
    (root / ".git").mkdir()
    assert sum(sizes(build(root))) == 70


def test_images_below_folders_of_a_class_belong_to_it(root):
    put(root, COUNTS)
    (root / "ant" / "more").mkdir()
    (root / "ant" / "more" / "0000.png").touch()
    splits = build(root)
    assert sum(sizes(splits)) == 71


def test_links_are_followed_to_class_folders_and_not_in_circles(root, tmp_path):
    put(tmp_path / "elsewhere", {"dog": 10})
    put(root, COUNTS)
    (root / "dog").symlink_to(tmp_path / "elsewhere" / "dog", target_is_directory=True)
    (root / "ant" / "circle").symlink_to(root, target_is_directory=True)
    splits = build(root)
    assert splits.classes.names == ("ant", "bee", "cat", "dog")
    assert sum(sizes(splits)) == 80


def test_a_missing_root_is_named(root):
    assert message_of(root / "nowhere") == (
        f"there is no folder {root / 'nowhere'}: dataset.root names it"
    )


def test_a_missing_source_is_named(root):
    put(root / "train", COUNTS)
    assert message_of(root, val="vall") == f"there is no {root / 'vall'}: dataset.val names it"


def test_val_without_train_is_refused(root):
    put(root / "val", COUNTS)
    assert f"{root} has no folder 'train': set dataset.train" in message_of(root)


def test_a_root_without_class_folders_is_refused(root):
    assert f"{root} has no class folders: expected {root}/<class>/<image>" in message_of(root)


def test_one_class_is_refused(root):
    put(root, {"cat": 5})
    assert message_of(root) == f"{root} has one class, 'cat'; a data set needs two"


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_empty_class_folder_is_named(root, split):
    put(root / "train", COUNTS)
    put(root / "test", {"ant": 1})
    (root / split / "dog").mkdir()
    (root / split / "dog" / "notes.txt").touch()
    assert f"{root / split / 'dog'} has no images (known by .bmp, .jpeg" in message_of(root)


def test_a_file_whose_name_is_no_text_is_named(root):
    put(root, COUNTS)
    open(os.fsencode(root / "ant") + b"/caf\xe9.png", "wb").close()
    assert message_of(root) == r"'ant/caf\udce9.png' is not named in UTF-8: rename it"


def test_a_class_that_train_has_not_is_named(root):
    put(root / "train", COUNTS)
    put(root / "test", {"ant": 3, "zebra": 3})
    assert f"{root / 'test'} has the class 'zebra', and the training images have not" in message_of(
        root
    )


def test_a_class_that_test_has_not_has_no_test_images(root):
    put(root / "train", COUNTS)
    put(root / "test", {"ant": 3, "cat": 3})
    splits = build(root)
    assert np.bincount(splits.test.labels, minlength=3).tolist() == [3, 0, 3]
    assert "all" in splits.test.views


def test_a_class_with_no_image_left_is_named(root):
    put(root, {"ant": 2, "bee": 50})
    message = message_of(root)
    assert f"{root}: of class 'ant', which has 2 images, none is left to train on" in message
    assert "Lower dataset.holdout" in message


def test_a_damaged_image_is_not_opened(root):
    put(root, COUNTS)
    Image.new("RGB", (4, 4)).save(root / "ant" / "0000.png")
    assert sum(sizes(build(root))) == 70
