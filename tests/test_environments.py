"""Runs that were not computed alike are told apart; those that were need no word."""

from __future__ import annotations

from ltcore.reporting.environments import differing_environments
from ltcore.reporting.reporters.markdown import Markdown
from ltcore.reporting.study import compare
from tests.report_runs import run_of

ALIKE = {
    "python": "3.12.1",
    "torch": "2.15.0",
    "device_name": "x86_64",
    "cpu_capability": "AVX2",
    "cuda": None,
    "threads": 2,
    "world_size": 1,
    "batch_norm": "batch",
}


def runs_in(*environments):
    losses = ("focal", "cross_entropy", "ldam")
    pairs = zip(losses, environments, strict=False)
    return [run_of(loss, environment=environment) for loss, environment in pairs]


def warnings_of(*environments):
    return compare(runs_in(*environments)).warnings


def test_runs_that_were_computed_alike_need_no_word():
    assert not warnings_of(ALIKE, ALIKE, {**ALIKE, "python": "3.11.0"})


def test_runs_that_were_not_are_counted():
    other = {**ALIKE, "torch": "2.11.0", "world_size": 2, "batch_norm": "rank"}
    assert warnings_of(ALIKE, other, ALIKE) == (
        (
            "not all runs were computed alike: torch 2.11.0 in 1 run, 2.15.0 in 2 runs; ranks 1 in "
            "2 runs, 2 in 1 run; batch norm over the batch in 2 runs, rank in 1 run"
        ),
    )


def test_what_a_file_does_not_say_differs_from_nothing():
    assert not warnings_of(ALIKE, {}, {"torch": "2.15.0"})


def test_reports_show_it_once():
    runs = runs_in(ALIKE, {**ALIKE, "threads": 8})
    text = Markdown().render(compare(runs))
    assert (
        text.count("Warning: not all runs were computed alike: threads 2 in 1 run, 8 in 1 run") == 1
    )


def test_made_up_predictions_were_not_computed():
    runs = compare(runs_in(ALIKE, {**ALIKE, "threads": 8})).runs
    published = [run_of(environment={**ALIKE, "threads": 8}, origin="accuracies")]
    assert differing_environments(runs)
    assert not differing_environments([*compare(published).runs, runs[0]])
