"""CIFAR from its archive, from the extracted folder, from class folders: the same, or refused."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

import ltcore
from ltcore_datasets import Cifar10, Cifar10LT, Cifar100, Cifar100LT
from ltcore_datasets.cifar_releases import RELEASES
from ltcore_datasets.cifar_sets import open_sets

FORMS = ("archive", "extracted", "folders")


def component(tiny, form, *, long_tailed=True, **parameters):
    kinds = {"cifar100": (Cifar100, Cifar100LT), "cifar10": (Cifar10, Cifar10LT)}
    parameters = {"holdout_per_class": 3, "root": str(getattr(tiny, form)), **parameters}
    return kinds[tiny.name][long_tailed](**parameters)


def build(tiny, form, **parameters) -> ltcore.Splits:
    return component(tiny, form, **parameters).build(ltcore.Seeds())


@pytest.mark.parametrize("form", FORMS)
def test_every_id_stands_for_its_own_pixels(tiny, form):
    splits = build(tiny, form, long_tailed=False)
    splits_of_all = (splits.train, splits.val, splits.test)
    assert sum(map(len, splits_of_all)) == len(tiny.images)
    for split in splits_of_all:
        for image, image_id in zip(split.images, split.ids, strict=True):
            assert np.array_equal(image, tiny.images[str(image_id)].transpose(2, 0, 1))


@pytest.mark.parametrize("form", ["extracted", "folders"])
def test_the_splits_are_those_of_the_archive(tiny, form):
    splits, expected = build(tiny, form), build(tiny, "archive")
    assert splits.classes.names == expected.classes.names == ("ant", "bee", "cat_fish", "dog")
    for name in ("train", "val", "test"):
        split, other = getattr(splits, name), getattr(expected, name)
        assert split.ids.tolist() == other.ids.tolist()
        assert split.labels.tolist() == other.labels.tolist()
        assert np.array_equal(split.images, other.images)
        assert split.images.strides == other.images.strides


def test_images_are_bytes_of_one_pixel_after_the_other(tiny100):
    images = build(tiny100, "archive").train.images
    assert images.dtype == np.uint8
    assert images.transpose(0, 2, 3, 1).flags.c_contiguous


def test_cao_s_subset_is_drawn_in_the_archive_s_order(tiny100):
    splits = build(tiny100, "archive", holdout_per_class=0, subset="cao", imbalance_factor=0.2)
    names, in_order = splits.classes.names, [i for i in tiny100.images if i.startswith("train/")]
    random = np.random.RandomState(0)
    expected = []
    for label, name in enumerate(names):
        members = [i for i in in_order if i.startswith(f"train/{name}/")]
        order = np.arange(len(members))
        random.shuffle(order)
        expected += [members[m] for m in order[: int(12 * 0.2 ** (label / 3))]]
    assert sorted(splits.train.ids) == sorted(expected)


def test_cao_s_subset_needs_the_archive(tiny100):
    with pytest.raises(ltcore.SpecError) as error:
        build(tiny100, "folders", holdout_per_class=0, subset="cao")
    assert "dataset.subset: 'cao' is drawn over the order of the official" in str(error.value)


def test_missing_data_says_what_was_looked_for_and_how_to_mend_it(tmp_path):
    with pytest.raises(ltcore.DataError) as error:
        Cifar100(root=str(tmp_path)).build(ltcore.Seeds())
    message = str(error.value)
    for part in (
        f"CIFAR-100 is not in {tmp_path}",
        str(tmp_path / "cifar-100-python.tar.gz"),
        str(tmp_path / "cifar-100-python"),
        str(tmp_path / "train"),
        "Set dataset.download to true",
        "put https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "SHA-256 85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        f"into {tmp_path}",
    ):
        assert part in message


@pytest.mark.parametrize("change", ["a byte more", "a byte less", "another byte"])
def test_an_altered_archive_is_refused_by_name(tiny100, change):
    path = tiny100.archive / tiny100.release.archive
    data = bytearray(path.read_bytes())
    altered = {
        "a byte more": data + b"\0",
        "a byte less": data[:-1],
        "another byte": data[:100] + bytes([data[100] ^ 1]) + data[101:],
    }
    path.write_bytes(altered[change])
    with pytest.raises(ltcore.DataError) as error:
        build(tiny100, "archive")
    assert f"{path} is incomplete or was tampered with" in str(error.value)
    assert tiny100.release.sha256 in str(error.value)


def test_an_altered_archive_is_refused_though_class_folders_are_there(tiny100):
    archive = tiny100.folders / tiny100.release.archive
    archive.write_bytes(b"nothing official")
    with pytest.raises(ltcore.DataError, match="tampered"):
        build(tiny100, "folders")


def test_an_altered_extracted_file_is_refused_by_name(tiny):
    name = next(iter(tiny.release.test_files))
    path = tiny.extracted / tiny.release.folder / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ltcore.DataError) as error:
        build(tiny, "extracted")
    assert f"{path} is incomplete or was tampered with: its MD5 is" in str(error.value)
    assert f"Delete {tiny.extracted / tiny.release.folder}" in str(error.value)


def test_a_missing_extracted_file_is_named(tiny100):
    path = tiny100.extracted / tiny100.release.folder / "meta"
    path.unlink()
    with pytest.raises(ltcore.DataError) as error:
        build(tiny100, "extracted")
    assert f"{path} is missing" in str(error.value)


def test_a_class_folder_with_an_image_less_is_refused(tiny100):
    folder = tiny100.folders / "train" / "bee"
    next(folder.iterdir()).unlink()
    with pytest.raises(ltcore.DataError) as error:
        build(tiny100, "folders")
    assert f"{folder} has 11 images, and CIFAR-100 has 12 of each class" in str(error.value)


def test_the_class_folders_of_another_data_set_are_refused(tiny100):
    shutil.rmtree(tiny100.folders / "train" / "bee")
    with pytest.raises(ltcore.DataError) as error:
        build(tiny100, "folders")
    assert "has 3 class folders, and CIFAR-100 has 4 classes" in str(error.value)


def test_class_folders_of_other_names_in_test_are_refused(tiny100):
    (tiny100.folders / "test" / "bee").rename(tiny100.folders / "test" / "wasp")
    with pytest.raises(ltcore.DataError) as error:
        build(tiny100, "folders")
    assert "only one of train and test has the class folder 'bee'" in str(error.value)


def test_a_damaged_image_is_named(tiny100):
    path = min((tiny100.folders / "test" / "dog").iterdir())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ltcore.DataError) as error:
        build(tiny100, "folders")
    assert f"{path} cannot be read as an image" in str(error.value)


def test_an_image_of_another_size_is_named(tiny100):
    path = min((tiny100.folders / "test" / "dog").iterdir())
    Image.new("RGB", (31, 32)).save(path)
    with pytest.raises(ltcore.DataError) as error:
        build(tiny100, "folders")
    assert f"{path} is 31 x 32 pixels, and CIFAR's images are 32 x 32" in str(error.value)


def test_images_that_are_not_used_are_not_decoded(tiny100):
    splits = build(tiny100, "folders")
    used = {*splits.train.ids, *splits.test.ids}
    unused = next(i for i in tiny100.images if i.startswith("train/") and i not in used)
    (tiny100.folders / unused).write_bytes(b"no image")
    assert build(tiny100, "folders").train.ids.tolist() == splits.train.ids.tolist()


def test_hidden_files_are_no_images(tiny100):
    (tiny100.folders / "train" / "ant" / "._000001.png").write_bytes(b"")
    (tiny100.folders / "train" / ".cache").mkdir()
    assert len(build(tiny100, "folders").val) == 20


def test_the_checksums_are_torchvision_s():
    from torchvision.datasets import CIFAR10, CIFAR100

    for name, official in (("cifar10", CIFAR10), ("cifar100", CIFAR100)):
        release = RELEASES[name]
        assert (release.url, release.archive, release.md5) == (
            official.url,
            official.filename,
            official.tgz_md5,
        )
        assert release.folder == official.base_folder
        assert list(release.train_files.items()) == [tuple(pair) for pair in official.train_list]
        assert list(release.test_files.items()) == [tuple(pair) for pair in official.test_list]
        assert release.meta_file == (official.meta["filename"], official.meta["md5"])
        assert release.names_key.decode() == official.meta["key"]


@pytest.fixture(scope="module")
def real_splits(real_root):
    return Cifar100LT(root=str(real_root)).build(ltcore.Seeds())


def test_the_real_cifar100_has_the_study_s_sizes(real_splits):
    assert len(real_splits.train) == 9754
    assert len(real_splits.val) == 10000
    assert len(real_splits.test) == 5000
    sizes = [len(real_splits.test.views[v]) for v in ("long_tailed", "head", "middle", "tail")]
    assert sizes == [1051, 844, 169, 38]


def test_the_real_cifar100_is_decoded_to_the_files_pixels(real_splits, real_root):
    for split in (real_splits.train, real_splits.val, real_splits.test):
        for index in (0, len(split) // 2, len(split) - 1):
            with Image.open(real_root / str(split.ids[index])) as image:
                expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
            assert np.array_equal(split.images[index], expected)


def test_the_real_cifar100_s_labels_are_the_alphabet_s(real_splits, real_root):
    assert real_splits.classes.names == tuple(
        sorted(p.name for p in (real_root / "train").iterdir())
    )
    assert real_splits.classes.names[0] == "apple"
    assert open_sets(RELEASES["cifar100"], real_root).archive_positions is None
