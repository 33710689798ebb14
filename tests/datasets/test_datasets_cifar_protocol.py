"""Which of CIFAR-100's images train and test, at full size, from their names alone."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import ltcore
from ltcore_datasets import Cifar100, Cifar100LT
from ltcore_datasets.cifar_splits import Protocol, choose

FACTORS = (1.0, 0.1, 0.02, 0.01)
SEEDS = range(5)

# The first 12 hex digits of the SHA-256 over the training ids, joined by line feeds: for ever.
GOLDEN_GENERATED = {
    1.0: ["7af2ff38d2f1", "7af2ff38d2f1", "7af2ff38d2f1", "7af2ff38d2f1", "7af2ff38d2f1"],
    0.1: ["cf6a1ed027a1", "555069d22523", "b93a3de29e7c", "b9a15bdd6e30", "e6d4a8af7813"],
    0.02: ["3846b7b6f693", "e8b479482198", "d4914ada5bde", "70c0cee861ad", "aa9e9badb7f7"],
    0.01: ["eb4d2cf189ca", "c5c4f6133730", "00bde5501b64", "ea6621acb82d", "c54621d276c8"],
}
GOLDEN_REAL = {
    1.0: ["49d6b5ec0dbb", "49d6b5ec0dbb", "49d6b5ec0dbb", "49d6b5ec0dbb", "49d6b5ec0dbb"],
    0.1: ["c48b6681662e", "0d6961debcd0", "1a5714727ac0", "fc4f0c9745dd", "14101ef46eab"],
    0.02: ["d54f0992e2e5", "e50068b38ce8", "4b0a8cb8516e", "56eb94f7d1a5", "af2e8ed62856"],
    0.01: ["0d17f9554041", "fbf68c3e37b9", "93bfc6e1a22d", "813604488642", "105e414192e7"],
}

VIEWS = {
    "balanced": 5000,
    "long_tailed": 1051,
    "head": 844,
    "middle": 169,
    "tail": 38,
    "balanced_head": 1650,
    "balanced_middle": 1650,
    "balanced_tail": 1700,
}


def protocol(factor: float) -> Protocol:
    return Protocol(
        holdout_per_class=50,
        per_class=None,
        class_order="label",
        imbalance_factor=factor,
        view_factor=0.01,
    )


def digest(ids) -> str:
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:12]


def digests(sets, factor: float) -> list[str]:
    return [
        digest(sets.train.ids[choose(sets, protocol(factor), ltcore.Seeds(data=seed)).train])
        for seed in SEEDS
    ]


@pytest.mark.parametrize("factor", FACTORS)
def test_the_training_images_never_change(generated, factor):
    assert digests(generated, factor) == GOLDEN_GENERATED[factor]


@pytest.mark.parametrize("factor", FACTORS)
def test_the_real_training_images_never_change(real, factor):
    assert digests(real, factor) == GOLDEN_REAL[factor]


def test_the_images_are_those_of_the_documented_rule(generated):
    def key(seed, image_id):
        return hashlib.sha256(f"{seed}/{image_id}".encode()).hexdigest()

    choice = choose(generated, protocol(0.02), ltcore.Seeds(data=3, split=7))
    ids = generated.train.ids
    for label in (0, 50, 99):
        members = [str(i) for i in ids if i.startswith(f"train/class_{label:02d}/")]
        members.sort(key=lambda i: key(7, i))
        held_out, rest = members[:50], members[50:]
        rest.sort(key=lambda i: key(3, i))
        assert sorted(held_out) == [i for i in ids[choice.held_out] if i in members]
        kept = rest[: int(450 * 0.02 ** (label / 99))]
        assert sorted(kept) == [i for i in ids[choice.train] if i in members]


def test_long_tailed_sizes_are_the_study_s(build_generated):
    splits = build_generated(Cifar100LT())
    sizes = {view: len(splits.test.views[view]) for view in VIEWS}
    assert (len(splits.train), len(splits.val), len(splits.test)) == (9754, 10000, 5000)
    assert (splits.classes.counts[0], splits.classes.counts[-1]) == (450, 4)
    assert sizes == VIEWS


def test_balanced_sizes_are_the_study_s(build_generated):
    splits = build_generated(Cifar100())
    sizes = {view: len(splits.test.views[view]) for view in VIEWS}
    assert (len(splits.train), len(splits.val), len(splits.test)) == (45000, 10000, 5000)
    assert set(splits.classes.counts) == {450}
    assert sizes == VIEWS


def test_balanced_and_long_tailed_have_the_same_test_images_and_views(build_generated):
    balanced, long_tailed = build_generated(Cifar100()), build_generated(Cifar100LT())
    assert list(balanced.test.ids) == list(long_tailed.test.ids)
    for view in VIEWS:
        assert np.array_equal(balanced.test.views[view], long_tailed.test.views[view])


@pytest.mark.parametrize(("factor", "size"), [(0.01, 10847), (0.02, 12608), (0.1, 19573)])
def test_without_holdout_the_sizes_are_the_literature_s(build_generated, factor, size):
    splits = build_generated(Cifar100LT(holdout_per_class=0, imbalance_factor=factor))
    assert (len(splits.train), len(splits.test)) == (size, 10000)


def test_without_holdout_val_is_the_official_test_set_with_its_views(build_generated):
    splits = build_generated(Cifar100LT(holdout_per_class=0))
    assert splits.val is splits.test
    assert all(image_id.startswith("test/") for image_id in splits.test.ids)
    assert len(splits.test.views["balanced"]) == 10000
    assert np.array_equal(
        np.bincount(splits.test.labels[splits.test.views["long_tailed"]]),
        [max(1, int(100 * 0.01 ** (r / 99))) for r in range(100)],
    )


def test_no_image_is_in_two_splits(build_generated):
    splits = build_generated(Cifar100())
    ids = [set(split.ids) for split in (splits.train, splits.val, splits.test)]
    assert len(set.union(*ids)) == sum(map(len, ids)) == 60000


def test_the_test_images_are_the_same_for_every_seed(build_generated):
    first, other = (build_generated(Cifar100LT(), data=seed) for seed in (0, 1))
    assert list(first.test.ids) == list(other.test.ids)
    assert all(np.array_equal(first.test.views[v], other.test.views[v]) for v in VIEWS)


def test_another_data_seed_draws_other_training_images(build_generated):
    first, other = (set(build_generated(Cifar100LT(), data=s).train.ids) for s in (0, 1))
    assert len(first) == len(other) == 9754
    assert len(first & other) < 0.6 * 9754


def test_init_and_order_seeds_draw_nothing(build_generated):
    first, other = (build_generated(Cifar100LT(), init=s, order=s) for s in (0, 1))
    assert list(first.train.ids) == list(other.train.ids)


def test_another_split_seed_holds_other_images_out(build_generated):
    first, other = (set(build_generated(Cifar100LT(), split=s).test.ids) for s in (0, 1))
    assert len(first & other) < 0.2 * 5000


def test_smaller_factors_are_subsets_of_larger_ones(generated):
    drawn = [
        set(choose(generated, protocol(factor), ltcore.Seeds()).train.tolist())
        for factor in FACTORS
    ]
    assert drawn[0] > drawn[1] > drawn[2] > drawn[3]


def test_a_class_order_moves_the_counts_and_the_groups_with_them(build_generated):
    splits = build_generated(Cifar100LT(class_order=1))
    plain = build_generated(Cifar100LT())
    assert sorted(splits.classes.counts) == sorted(plain.classes.counts)
    assert not np.array_equal(splits.classes.counts, plain.classes.counts)
    head, tail = (splits.classes.counts[splits.classes.groups == group] for group in (0, 2))
    assert (len(head), len(tail)) == (33, 34)
    assert head.min() > tail.max()
    assert {view: len(splits.test.views[view]) for view in VIEWS} == VIEWS


def test_a_class_order_is_the_hash_order_of_the_names(build_generated):
    counts = build_generated(Cifar100LT(class_order=1)).classes.counts
    names = [f"class_{j:02d}" for j in range(100)]
    names.sort(key=lambda name: hashlib.sha256(f"1/{name}".encode()).digest())
    assert counts[int(names[0][-2:])] == 450
    assert counts[int(names[99][-2:])] == 4


def test_a_class_order_is_the_same_for_the_balanced_set(build_generated):
    balanced = build_generated(Cifar100(class_order=1))
    long_tailed = build_generated(Cifar100LT(class_order=1))
    assert np.array_equal(balanced.classes.groups, long_tailed.classes.groups)
    assert all(np.array_equal(balanced.test.views[v], long_tailed.test.views[v]) for v in VIEWS)


def test_a_step_profile_has_two_counts(build_generated):
    counts = build_generated(Cifar100LT(profile="step")).classes.counts
    assert counts.tolist() == [450] * 50 + [4] * 50


def test_per_class_is_the_size_of_every_class_of_a_balanced_set(build_generated):
    assert set(build_generated(Cifar100(per_class=97)).classes.counts) == {97}


def test_per_class_is_the_size_of_the_largest_class_of_a_long_tailed_set(build_generated):
    counts = build_generated(Cifar100LT(per_class=200)).classes.counts
    assert counts.tolist() == [int(200 * 0.01 ** (j / 99)) for j in range(100)]


def test_the_view_can_have_a_factor_of_its_own(build_generated):
    splits = build_generated(Cifar100LT(test_imbalance_factor=0.1))
    view = np.bincount(splits.test.labels[splits.test.views["long_tailed"]])
    assert view.tolist() == [max(1, int(50 * 0.1 ** (j / 99))) for j in range(100)]


@pytest.mark.parametrize("profile", ["exponential", "step"])
def test_cao_s_subset_is_what_the_legacy_generator_draws(build_generated, generated, profile):
    splits = build_generated(Cifar100LT(holdout_per_class=0, subset="cao", profile=profile), data=5)
    positions = generated.archive_positions
    archive_labels = np.empty(50_000, dtype=np.int64)
    archive_labels[positions] = generated.train.labels
    archive_ids = np.empty(50_000, dtype=object)
    archive_ids[positions] = generated.train.ids
    np.random.seed(0)  # noqa: NPY002  (as their code does)
    expected = []
    for label in range(100):
        few = 500 if label < 50 else 5
        count = int(500 * 0.01 ** (label / 99.0)) if profile == "exponential" else few
        members = np.where(archive_labels == label)[0]
        np.random.shuffle(members)  # noqa: NPY002
        expected += archive_ids[members[:count]].tolist()
    assert sorted(splits.train.ids) == sorted(expected)


def test_cao_s_subset_leaves_the_global_random_state_alone(build_generated):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    build_generated(Cifar100LT(holdout_per_class=0, subset="cao"))
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
