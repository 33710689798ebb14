"""The long-tailed protocol: counts, ranks, groups, the hash order, draws and views."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from ltcore.protocol import (
    class_groups,
    draw_per_class,
    evaluation_views,
    hash_order,
    profile_counts,
    ranks,
)


def ids_of(labels) -> np.ndarray:
    return np.array([f"{label}/{n}.png" for n, label in enumerate(labels)])


@pytest.mark.parametrize(
    ("classes", "largest", "factor", "total"),
    [
        (100, 450, 0.01, 9754),
        (100, 450, 1.0, 45000),
        (100, 500, 0.01, 10847),
        (100, 500, 0.02, 12608),
        (100, 500, 0.1, 19573),
        (100, 500, 0.005, 9502),
        (10, 5000, 0.01, 12406),
        (10, 5000, 0.02, 13996),
        (10, 5000, 0.1, 20431),
    ],
)
def test_exponential_counts_add_up_to_the_published_sizes(classes, largest, factor, total):
    assert profile_counts(classes, largest, factor).sum() == total


def test_exponential_counts_are_truncated():
    assert profile_counts(3, 100, 0.05).tolist() == [100, 22, 5]


@pytest.mark.parametrize(("classes", "expected"), [(4, [20, 20, 3, 3]), (5, [20, 20, 3, 3, 3])])
def test_step_counts_fall_after_half_of_the_classes(classes, expected):
    assert profile_counts(classes, 20, 0.19, "step").tolist() == expected


def test_ranks_descend_with_ties_by_index():
    assert ranks(np.array([5, 9, 5, 1, 9])).tolist() == [2, 0, 3, 4, 1]


@pytest.mark.parametrize(
    ("classes", "sizes"), [(100, [33, 33, 34]), (10, [3, 3, 4]), (4, [1, 1, 2]), (2, [0, 1, 1])]
)
def test_groups_are_thirds_of_the_ranks(classes, sizes):
    groups = class_groups(np.arange(classes))
    assert np.bincount(groups, minlength=3).tolist() == sizes
    assert groups.tolist() == sorted(groups)


def test_hash_order_is_by_sha256_of_seed_and_id():
    ids = ids_of(range(50))
    expected = sorted(ids, key=lambda i: hashlib.sha256(f"7/{i}".encode()).hexdigest())
    assert ids[hash_order(ids, 7)].tolist() == expected


def test_hash_order_of_two_ids_does_not_depend_on_the_others():
    ids = ids_of(range(50))
    few = ids[10:30]
    kept = [i for i in ids[hash_order(ids, 0)] if i in few]
    assert few[hash_order(few, 0)].tolist() == kept


def test_draw_takes_so_many_of_each_class_in_ascending_order():
    labels = np.array([2, 0, 1, 0, 2, 2, 0])
    drawn = draw_per_class(labels, ids_of(labels), np.array([2, 0, 1]), seed=0)
    assert np.bincount(labels[drawn], minlength=3).tolist() == [2, 0, 1]
    assert drawn.tolist() == sorted(drawn)


def test_draw_takes_all_of_a_class_that_has_fewer():
    labels = np.array([0, 0, 1])
    assert draw_per_class(labels, ids_of(labels), np.array([5, 5]), seed=0).tolist() == [0, 1, 2]


def test_draw_skips_a_class_without_images():
    labels = np.array([0, 2, 2])
    assert draw_per_class(labels, ids_of(labels), np.array([1, 1, 2]), seed=0).tolist() == [0, 1, 2]


def test_draw_is_the_first_in_hash_order():
    labels = np.repeat([0, 1], 20)
    ids = ids_of(labels)
    drawn = draw_per_class(labels, ids, np.array([3, 7]), seed=4)
    order = hash_order(ids, 4)
    expected = [*[i for i in order if i < 20][:3], *[i for i in order if i >= 20][:7]]
    assert drawn.tolist() == sorted(expected)


def test_draw_of_more_holds_the_draw_of_fewer():
    labels = np.repeat(np.arange(5), 30)
    few, more = (set(draw_per_class(labels, ids_of(labels), np.full(5, n), seed=1)) for n in (4, 9))
    assert few < more


@pytest.fixture
def views():
    """Six classes of ten test images, ranked backwards, with 500 to 3 training images."""
    labels = np.repeat(np.arange(6), 10)
    return labels, evaluation_views(
        labels,
        ids_of(labels),
        train_counts=np.array([3, 19, 20, 100, 101, 500]),
        rank=np.arange(6)[::-1],
        factor=0.1,
        seed=42,
    )


def counts_in(view, labels) -> list[int]:
    return np.bincount(labels[view], minlength=6).tolist()


def test_long_tailed_view_follows_the_ranks_with_at_least_one_image(views):
    labels, found = views
    expected = [max(1, int(10 * 0.1 ** (r / 5))) for r in range(6)]
    assert counts_in(found["long_tailed"], labels) == expected[::-1]


def test_groups_of_the_long_tailed_view_part_it(views):
    labels, found = views
    parts = [found[name] for name in ("head", "middle", "tail")]
    assert np.array_equal(np.sort(np.concatenate(parts)), found["long_tailed"])
    assert [set(labels[part]) for part in parts] == [{4, 5}, {2, 3}, {0, 1}]


def test_balanced_groups_are_those_of_the_whole_split(views):
    labels, found = views
    assert found["balanced"].tolist() == list(range(60))
    assert counts_in(found["balanced_tail"], labels) == [10, 10, 0, 0, 0, 0]


def test_shots_are_cut_above_100_and_below_20_training_images(views):
    labels, found = views
    shots = [set(labels[found[name]]) for name in ("many", "medium", "few")]
    assert shots == [{4, 5}, {2, 3}, {0, 1}]


def test_a_view_of_one_image_a_class_is_not_empty():
    labels = np.arange(4)
    found = evaluation_views(
        labels,
        ids_of(labels),
        train_counts=np.full(4, 5),
        rank=np.arange(4),
        factor=0.01,
        seed=0,
    )
    assert found["long_tailed"].tolist() == [0, 1, 2, 3]


def test_an_uneven_split_is_called_all_and_its_view_starts_at_the_largest_class():
    labels = np.repeat([0, 1, 2], [2, 8, 4])
    found = evaluation_views(
        labels,
        ids_of(labels),
        train_counts=np.array([2, 8, 4]),
        rank=np.array([2, 0, 1]),
        factor=0.25,
        seed=0,
    )
    assert "balanced" not in found
    assert found["all"].tolist() == list(range(14))
    assert np.bincount(labels[found["long_tailed"]]).tolist() == [2, 8, 4]


def test_views_are_ascending_int64(views):
    _, found = views
    for view in found.values():
        assert view.dtype == np.int64
        assert np.all(np.diff(view) > 0)
