"""What is found of arrays that cannot change is found once."""

from __future__ import annotations

import numpy as np
import pytest

from ltcore.predictions import ascend, found_once
from ltcore.results_files import read_results, write_results
from tests.report_runs import run_of


@pytest.mark.parametrize(
    ("ids", "ascending"),
    [(["a", "b", "c"], True), (["a", "c", "b"], False), (["a", "a"], False), (["a"], True)],
)
def test_ids_ascend_where_each_is_larger_than_the_one_before(ids, ascending):
    assert ascend(np.array(ids)) == ascending


def test_what_is_found_of_a_read_only_array_is_found_once():
    asked = []
    find = found_once(lambda array: asked.append(array) or len(asked))
    fixed = np.arange(3)
    fixed.flags.writeable = False
    assert [find(fixed), find(fixed)] == [1, 1]


def test_what_is_found_of_an_array_that_can_change_is_found_anew():
    ids = np.array(["a", "b"])
    assert ascend(ids)
    ids[0] = "c"
    assert not ascend(ids)


def test_files_of_one_test_set_share_their_ids(tmp_path):
    paths = [write_results(run_of("focal", seed=n), tmp_path / f"{n}.h5") for n in (1, 2)]
    one, other = (read_results(path).test.id for path in paths)
    assert one is other
    assert not one.flags.writeable
