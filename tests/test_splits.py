"""What a data set hands over: parts that fit together, or an error that says which do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import ltcore
from ltcore import Classes, ImageFiles, Split, Splits


def split(name: str, labels=(0, 1), **changes) -> Split:
    n = len(labels)
    parts = {
        "images": np.zeros((n, 3, 4, 4), dtype=np.uint8),
        "labels": np.array(labels, dtype=np.int64),
        "ids": np.array([f"{name}/{i}" for i in range(n)]),
    }
    return Split(**{**parts, **changes})


def classes(counts=(2, 1), **changes) -> Classes:
    k = len(counts)
    parts = {
        "names": tuple("abcdefgh"[:k]),
        "counts": np.array(counts, dtype=np.int64),
        "groups": np.zeros(k, dtype=np.uint8),
    }
    return Classes(**{**parts, **changes})


def splits(**changes) -> Splits:
    parts = {
        "train": split("train", (0, 0, 1)),
        "val": split("val"),
        "test": split("test"),
        "classes": classes(),
    }
    return Splits(**{**parts, **changes})


def test_val_is_test_where_both_are_one_object():
    assert not splits().val_is_test
    test = split("test")
    assert splits(val=test, test=test).val_is_test


def test_files_may_stand_for_images():
    assert len(splits(test=split("test", images=ImageFiles(("a", "b")))).test) == 2


def test_images_may_lie_in_memory_in_any_order():
    channels_last = np.zeros((2, 4, 4, 3), dtype=np.uint8).transpose(0, 3, 1, 2)
    assert splits(test=split("test", images=channels_last)).test.images.shape == (2, 3, 4, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": classes((3,))}, "a data set needs at least 2 classes, found only 'a'"),
        ({"classes": classes(())}, "a data set needs at least 2 classes, found none"),
        ({"classes": classes(names=("a", "a"))}, "two classes have one name, 'a'"),
        ({"classes": classes((1, 2))}, "the class counts are not those of the training labels"),
        (
            {"classes": classes(groups=np.zeros(3, dtype=np.uint8))},
            "groups must be (2,), are (3,)",
        ),
        ({"val": split("val", ())}, "val has no images"),
        (
            {"val": split("val", images=ImageFiles(("a",)))},
            "val has 1 images, (2,) labels and (2,) ids",
        ),
        (
            {"val": split("val", ids=np.array(["a"]))},
            "val has 2 images, (2,) labels and (1,) ids",
        ),
        (
            {"test": split("test", images=np.zeros((2, 3, 4, 4), dtype=np.float32))},
            "test's images must be uint8 (N, 3, H, W), are float32 (2, 3, 4, 4)",
        ),
        (
            {"test": split("test", images=np.zeros((2, 4, 4, 3), dtype=np.uint8))},
            "test's images must be uint8 (N, 3, H, W), are uint8 (2, 4, 4, 3)",
        ),
        ({"val": split("val", (0, 2))}, "val's labels must be int64 in [0, 2)"),
        ({"val": split("val", (-1, 0))}, "val's labels must be int64 in [0, 2)"),
        (
            {"val": replace(split("val"), labels=np.array([0, 1], dtype=np.int32))},
            "val's labels must be int64 in [0, 2)",
        ),
        ({"val": split("val", ids=np.array(["x", "x"]))}, "val has the id 'x' 2 times"),
        ({"val": split("train")}, "train and val share 2 ids, 'train/0' first"),
        ({"test": split("train")}, "train and test share 2 ids, 'train/0' first"),
        ({"test": split("val")}, "val and test share 2 ids, 'val/0' first"),
        (
            {"test": split("test", views={"tail": np.array([2])})},
            "view 'tail' of test reaches outside its 2 images",
        ),
        (
            {"test": split("test", views={"tail": np.array([-1])})},
            "view 'tail' of test reaches outside its 2 images",
        ),
        (
            {"test": split("test", views={"tail": np.array([1, 1])})},
            "view 'tail' of test holds an image twice",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ltcore.DataError) as error:
        splits(**changes)
    assert str(error.value) == message


def test_an_empty_view_is_allowed():
    view = {"few": np.empty(0, dtype=np.int64)}
    assert len(splits(test=split("test", views=view)).test.views["few"]) == 0


def test_prior_is_the_share_of_the_training_images():
    assert classes((3, 1)).prior.tolist() == [0.75, 0.25]


def test_a_class_without_images_is_refused_by_name_where_its_count_divides():
    with pytest.raises(ltcore.SpecError) as error:
        classes((3, 0, 1)).require_images("focal")
    assert str(error.value) == (
        "loss: focal needs training images of every class, and 1 of 3 classes have no training "
        "image: b. Raise the data set's imbalance factor, or use cross_entropy."
    )


def test_of_many_classes_without_images_five_are_named():
    with pytest.raises(ltcore.SpecError, match=r"7 of 8 classes .*: b, c, d, e, f, \.\.\.\. Raise"):
        classes((3, 0, 0, 0, 0, 0, 0, 0)).require_images("focal")


def test_classes_with_images_are_not_refused():
    classes((3, 1)).require_images("focal")


@pytest.mark.parametrize("beta", [0.9, 0.99, 0.9999])
def test_class_balanced_weights_are_cui_s_and_sum_to_k(beta):
    counts = (450, 30, 4)
    expected = np.array([(1 - beta) / (1 - beta**n) for n in counts])
    expected *= 3 / expected.sum()
    assert np.allclose(classes(counts).class_balanced_weights(beta), expected, rtol=1e-9)


def test_class_balanced_weights_approach_the_inverse_counts():
    counts = np.array([450, 30, 4])
    expected = (1 / counts) * (3 / (1 / counts).sum())
    found = classes(counts).class_balanced_weights(1 - 1e-12)
    assert np.allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(("counts", "beta"), [((450, 30, 4), 0.0), ((9, 9, 9), 0.9999)])
def test_class_balanced_weights_are_exactly_one_without_need(counts, beta):
    assert classes(counts).class_balanced_weights(beta).tolist() == [1.0, 1.0, 1.0]


def test_class_balanced_weights_refuse_a_class_without_images():
    with pytest.raises(ltcore.SpecError, match="class-balanced weighting needs"):
        classes((3, 0)).class_balanced_weights(0.99)


def test_splits_are_frozen():
    with pytest.raises(AttributeError):
        splits().train = split("other")
    assert replace(splits(), val=split("other")).val.ids[0] == "other/0"
