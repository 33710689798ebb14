"""List files: what their lines may say, which splits they give, and what is refused by line."""

from __future__ import annotations

import numpy as np
import pytest

import ltcore
from ltcore_datasets import ImageFolder


@pytest.fixture
def root(tmp_path):
    """20 files of each of three classes, in no class folders."""
    (tmp_path / "files").mkdir()
    for name in ("cat", "ant", "bee"):
        for n in range(20):
            (tmp_path / "files" / f"{name} {n:02d}.jpg").touch()
    return tmp_path


LABELS = {"cat": 10, "ant": 2, "bee": 9}


def lines(start, stop, label=LABELS.get):
    return [
        f"files/{name} {n:02d}.jpg {label(name)}" for name in LABELS for n in range(start, stop)
    ]


def write(path, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def build(root, **parameters):
    return ImageFolder(root=str(root), **parameters).build(ltcore.Seeds())


def message_of(root, **parameters) -> str:
    with pytest.raises(ltcore.DataError) as error:
        build(root, **parameters)
    return str(error.value)


def test_text_lines_are_path_and_label(root):
    for split, start, stop in (("train", 0, 12), ("val", 12, 15), ("test", 15, 20)):
        write(root / f"{split}.txt", lines(start, stop))
    splits = build(root, train="train.txt", val="val.txt", test="test.txt")
    assert (len(splits.train), len(splits.val), len(splits.test)) == (36, 9, 15)
    assert splits.train.ids[0] == "files/ant 00.jpg"
    assert splits.train.images.paths[0] == f"{root}/files/ant 00.jpg"


def test_numbers_are_sorted_as_numbers(root):
    write(root / "train.txt", lines(0, 20))
    splits = build(root, train="train.txt")
    assert splits.classes.names == ("2", "9", "10")
    assert {i[:9] for i in splits.train.ids[splits.train.labels == 2]} == {"files/cat"}


def test_names_are_sorted_as_text(root):
    write(root / "train.txt", lines(0, 20, str.upper))
    assert build(root, train="train.txt").classes.names == ("ANT", "BEE", "CAT")


def test_what_is_not_listed_is_held_out_of_train(root):
    write(root / "train.txt", lines(0, 20))
    splits = build(root, train="train.txt")
    assert (len(splits.train), len(splits.val), len(splits.test)) == (48, 6, 6)


def test_the_order_of_the_lines_changes_nothing(root):
    write(root / "a.txt", lines(0, 20))
    write(root / "b.txt", ["", *reversed(lines(0, 20)), ""])
    first, other = build(root, train="a.txt"), build(root, train="b.txt")
    assert first.train.ids.tolist() == other.train.ids.tolist()
    assert first.test.ids.tolist() == other.test.ids.tolist()


def test_csv_has_a_header(root):
    rows = [line.rsplit(" ", 1) for line in lines(0, 20, str)]
    write(root / "all.csv", ["label,other,path", *(f'{label},x,"{path}"' for path, label in rows)])
    splits = build(root, train="all.csv", imbalance_factor=0.5)
    assert splits.classes.names == ("ant", "bee", "cat")
    assert splits.classes.counts.tolist() == [16, int(16 * 0.5**0.5), 8]


def csv_of_splits(root):
    parts = (("train", 0, 15), ("val", 15, 17), ("test", 17, 20))
    rows = [
        f"{','.join(line.rsplit(' ', 1))},{split}" for split, a, b in parts for line in lines(a, b)
    ]
    write(root / "all.csv", ["path,label,split", *rows])


def test_csv_can_tell_the_splits_apart(root):
    csv_of_splits(root)
    splits = build(root, train="all.csv")
    assert (len(splits.train), len(splits.val), len(splits.test)) == (45, 6, 9)
    assert not splits.val_is_test
    assert np.bincount(splits.test.labels).tolist() == [3, 3, 3]


def test_csv_can_leave_a_split_to_a_list_of_its_own(root):
    csv_of_splits(root)
    write(root / "test.txt", lines(18, 20))
    splits = build(root, train="all.csv", test="test.txt")
    assert (len(splits.train), len(splits.val), len(splits.test)) == (45, 6, 6)


def test_one_list_can_be_val_and_test(root):
    write(root / "train.txt", lines(0, 15))
    write(root / "test.txt", lines(15, 20))
    splits = build(root, train="train.txt", val="test.txt", test="test.txt")
    assert splits.val is splits.test


def test_an_image_in_two_lists_is_refused(root):
    write(root / "train.txt", lines(0, 15))
    write(root / "val.txt", lines(14, 16))
    write(root / "test.txt", lines(16, 20))
    message = message_of(root, train="train.txt", val="val.txt", test="test.txt")
    assert message == "train and val share 3 ids, 'files/ant 14.jpg' first"


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("a.txt", ["files/none.jpg 2"], "{root}/a.txt:61: there is no file {root}/files/none.jpg"),
        ("a.txt", ["alone"], "{root}/a.txt:61: expected '<path> <label>', is 'alone'"),
        ("a.txt", ["/etc/passwd 2"], "{root}/a.txt:61: '/etc/passwd' does not lie below {root}"),
        ("a.txt", ["../x.jpg 2"], "{root}/a.txt:61: '../x.jpg' does not lie below {root}"),
        (
            "a.txt",
            ["./files/cat 00.jpg 2"],
            "{root}/a.txt:61: 'files/cat 00.jpg' was named before, in {root}/a.txt:1",
        ),
        (
            "a.lst",
            [],
            "{root}/a.lst is neither a folder nor a list file (.txt or .csv)",
        ),
    ],
)
def test_a_wrong_line_is_named(root, name, bad, message):
    write(root / name, [*lines(0, 20), *bad])
    assert message_of(root, train=name) == message.format(root=root)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ["image,label"],
            ":1: expected a header with the columns path and label, is 'image,label'",
        ),
        (["path,label", "files/cat 00.jpg,"], ":2: path or label is empty"),
        (["path,label", "files/cat 00.jpg"], ":2: path or label is empty"),
        (
            ["path,label,split", "files/cat 00.jpg,cat,dev"],
            ":2: split is 'dev', not train, val or test",
        ),
        (["path,label"], " names no images"),
        (["path,label,split", "files/cat 00.jpg,cat,val"], " has no line whose split is train"),
    ],
)
def test_a_wrong_csv_is_named(root, rows, message):
    write(root / "a.csv", rows)
    assert message_of(root, train="a.csv") == f"{root}/a.csv{message}"


def test_a_csv_of_splits_is_named_by_train_alone(root):
    csv_of_splits(root)
    message = message_of(root, train="all.csv", val="all.csv")
    assert message == f"{root}/all.csv has a column split: name it in dataset.train alone"


def test_a_file_that_is_no_text_is_refused(root):
    (root / "a.txt").write_bytes(b"\xff\xfe\x00")
    assert f"{root}/a.txt is no list file" in message_of(root, train="a.txt")
