"""What a report keeps of a run when its file is closed."""

from __future__ import annotations

import copy
import os
import pickle
import tracemalloc

import numpy as np
import pytest

from ltcore.reporting.analysis import Analysis
from ltcore.reporting.reading import Reading
from ltcore.reporting.study import compare
from ltcore.results_files import write_results
from tests.report_runs import run_of

TOP1 = Analysis(every_metric=False)


def bytes_kept_of(runs, per_class):
    label = np.repeat(np.arange(6), per_class)
    sources = (
        run_of(("ldam", "focal")[number % 2], seed=number // 2, label=label, val=False)
        for number in range(runs)
    )
    with Reading(sources, TOP1) as reading:
        tracemalloc.start()
        try:
            evidence = reading.evidence()
            assert len(evidence) == runs
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()


def test_less_than_a_kilobyte_is_kept_of_a_run_and_bits_of_its_images():
    bytes_kept_of(2, 20)  # what is imported, and kept once
    few, many, large = (bytes_kept_of(*sizes) for sizes in ((50, 20), (250, 20), (250, 220)))
    a_run = (many - few) / 200
    assert a_run < 1000
    an_image = (large - many) / 250 / (6 * 200)
    assert an_image < 1 / 4  # of more images there are more different accuracies, too


def test_of_runs_with_equal_hits_the_members_of_an_ensemble_are_each_read_again():
    right = np.array([0, 1, 2, 3, 4, 5])
    runs = [run_of("focal", seed=seed, label=right, views={}, skill=5.0) for seed in range(3)]
    assert all(np.array_equal(run.test.prediction, right) for run in runs)
    averaged = compare(runs, Analysis(ensemble=True)).ensemble
    shares = [np.exp(run.test.logits.astype(np.float64)) for run in runs]
    probabilities = sum(share / share.sum(axis=1, keepdims=True) for share in shares) / len(runs)
    nll = -np.log(probabilities[right, right]).mean()
    assert averaged.metrics["balanced"].nll == pytest.approx(nll, rel=1e-6)


def test_a_runs_metrics_are_a_mapping_like_any_other():
    (run,) = compare([run_of()]).runs
    plain = dict(run.metrics)
    assert run.metrics == plain
    assert repr(run.metrics) == repr(plain)
    assert "no such view" not in run.metrics
    assert pickle.loads(pickle.dumps(run)) == run == copy.deepcopy(run)


@pytest.fixture
def gone(tmp_path, monkeypatch):
    """A working directory that was removed."""
    monkeypatch.chdir(tmp_path)  # and back, afterwards
    folder = tmp_path / "gone"
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()


@pytest.mark.skipif(os.name != "posix", reason="needs a system that lets go of a working directory")
@pytest.mark.usefixtures("gone")
def test_files_are_read_where_the_working_directory_is_gone(tmp_path):
    path = write_results(run_of(), tmp_path / "run.h5")
    found = compare([str(path), path, "run.h5"])
    assert [run.path for run in found.runs] == [str(path)]
    assert list(found.unreadable) == ["run.h5"]


def test_one_name_in_two_working_directories_is_two_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def sources():
        for seed, folder in enumerate("ab"):
            os.chdir(tmp_path)
            (tmp_path / folder).mkdir()
            os.chdir(folder)
            write_results(run_of(seed=seed), tmp_path / folder / "run.h5")
            yield "run.h5"
            yield tmp_path / folder / "run.h5"

    assert [run.seed for run in compare(sources()).runs] == [0, 1]


def test_a_path_is_a_plain_string_whatever_is_given(tmp_path):
    path = np.str_(write_results(run_of(), tmp_path / "run.h5"))
    (run,) = compare([path]).runs
    assert type(run.path) is str
