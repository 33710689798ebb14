"""Which images are in which view, and groups by training images made anew."""

from __future__ import annotations

import numpy as np
import pytest

from ltcore.reporting.views import views_of
from tests.report_runs import COUNTS, LABEL, run_of


def classes_in(views, view, label=LABEL):
    return sorted(set(label[views[view]].tolist()))


def groups_of(thresholds, results=None):
    results = results or run_of()
    views = views_of(results.test, results.classes, thresholds)
    return {view: classes_in(views, view) for view in ("many", "medium", "few")}


@pytest.mark.parametrize(
    ("thresholds", "groups"),
    [
        ((100, 20), {"many": [0, 1], "medium": [2, 3], "few": [4, 5]}),
        ((101, 19), {"many": [0], "medium": [1, 2, 3, 4], "few": [5]}),
        ((99, 21), {"many": [0, 1, 2], "medium": [], "few": [3, 4, 5]}),
        ((20, 20), {"many": [0, 1, 2], "medium": [3], "few": [4, 5]}),
        ((0, 0), {"many": [0, 1, 2, 3, 4, 5], "medium": [], "few": []}),
    ],
)
def test_many_is_above_the_first_threshold_and_few_below_the_second(thresholds, groups):
    assert COUNTS.tolist() == [200, 101, 100, 20, 19, 5]
    assert groups_of(thresholds) == groups


def test_groups_by_training_images_are_of_the_whole_test_split():
    results = run_of()
    views = views_of(results.test, results.classes, (100, 20))
    parts = np.concatenate([views[view] for view in ("many", "medium", "few")])
    assert sorted(parts.tolist()) == list(range(len(LABEL)))


def test_groups_by_training_images_are_made_anew_whatever_the_file_holds():
    results = run_of(views={"many": np.arange(3)})
    assert groups_of((101, 19), results)["many"] == [0]


def test_without_thresholds_the_groups_are_those_of_the_file():
    results = run_of(views={"many": np.arange(3)})
    views = views_of(results.test, results.classes)
    assert views["many"].tolist() == [0, 1, 2]
    assert not {"medium", "few"} & set(views)


def test_the_studys_views_are_empty_where_the_file_lacks_them():
    results = run_of(views={})
    views = views_of(results.test, results.classes)
    assert {view: len(indices) for view, indices in views.items()} == {
        "balanced": 120,
        "long_tailed": 0,
        "head": 0,
        "middle": 0,
        "tail": 0,
    }
