"""Expected accuracies against sums by hand, and the texts of what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ltcore.errors import SpecError
from ltcore.measures import Metrics
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.evaluation import evaluate
from ltcore.reporting.intervals import wilson_interval
from ltcore.reporting.priors import expected_accuracy, expected_view, prior_of
from ltcore.reporting.study import compare
from tests.report_runs import COUNTS, LABEL, K, run_of

WEIGHTS = {"a": 3, "c": 0.5, "f": 1.5}


def recalls(results):
    correct = results.test.prediction == results.test.label
    return [float(np.mean(correct[results.test.label == k])) for k in range(K)]


@pytest.fixture
def weights_file(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(WEIGHTS))
    return str(path)


@pytest.mark.parametrize(
    ("prior", "weights"),
    [
        ("train", COUNTS),
        ("uniform", [1, 1, 1, 1, 1, 1]),
        ("tail", [0, 0, 0, 0, 5, 5]),
        ("long_tailed", [20, 20, 5, 5, 5, 5]),
        ("file", [3, 0, 0.5, 0, 0, 1.5]),
    ],
)
def test_an_expected_accuracy_is_the_sum_of_prior_times_recall(prior, weights, weights_file):
    prior = weights_file if prior == "file" else prior
    results = run_of()
    found = evaluate(results, Analysis(priors=(prior,))).metrics[expected_view(prior)]
    shares = [weight / sum(weights) for weight in weights]
    expected = sum(share * recall for share, recall in zip(shares, recalls(results), strict=True))
    assert 0.2 < expected < 0.98
    assert found.top1 == pytest.approx(expected, abs=1e-12)
    assert found.n == 20 * sum(weight > 0 for weight in weights)


def test_an_expected_accuracy_uses_all_images_of_a_class_not_the_views():
    results = run_of()
    metrics = evaluate(results, Analysis(priors=("tail",))).metrics
    assert metrics["expected_tail"].n == 40
    assert metrics["tail"].n == 10
    assert metrics["expected_tail"].top1 != metrics["tail"].top1


def test_under_the_splits_own_frequencies_it_is_top1_with_its_interval():
    metrics = evaluate(run_of(), Analysis(priors=("balanced",))).metrics
    found, whole = metrics["expected_balanced"], metrics["balanced"]
    assert found.top1 == pytest.approx(whole.top1, abs=1e-12)
    assert found.interval("top1") == pytest.approx(whole.interval("top1"), abs=1e-9)


def test_the_interval_is_wilsons_at_kishs_size():
    results = run_of()
    found = evaluate(results, Analysis(priors=("train",))).metrics["expected_train"]
    weights = (COUNTS / COUNTS.sum() / 20)[LABEL]
    size = weights.sum() ** 2 / (weights**2).sum()
    expected = wilson_interval(found.top1 * size, size)
    assert found.interval("top1") == pytest.approx(expected, abs=1e-12)


def test_a_class_that_no_test_image_has_leaves_nothing_to_expect():
    label, correct = np.array([0, 0, 1]), np.array([True, False, True])
    assert expected_accuracy(np.array([0.5, 0.4, 0.1]), label, correct) == Metrics(n=3)
    assert expected_accuracy(np.array([0.5, 0.5, 0.0]), label, correct).top1 == 0.75


def test_the_prior_of_an_empty_view_expects_nothing():
    metrics = evaluate(run_of(views={}), Analysis(priors=("tail",))).metrics
    assert metrics["expected_tail"] == Metrics(n=0)


def test_expected_views_are_among_those_that_were_asked_for(weights_file):
    comparison = compare([run_of()], Analysis(priors=("tail", weights_file)))
    assert comparison.asked_views == ("expected_tail", "expected_mine")
    assert set(comparison.asked_views) < set(comparison.runs[0].metrics)


def refusal(prior):
    results = run_of()
    with pytest.raises(SpecError) as caught:
        prior_of(prior, results.classes, results.test.views, results.test.label)
    return str(caught.value)


def test_a_prior_that_is_no_view_and_no_file_is_refused_with_the_views():
    assert refusal("tial") == (
        "prior: 'tial' is no file and none of train, uniform, long_tailed, head, tail"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "line 1, column 2: not JSON: "),
        ("[1, 2]", "must be a JSON object, is a list"),
        ("[" * 100_000, "lists and objects are nested more than 50 deep"),
        ("\x80", "not UTF-8 text (byte 0)"),
        ('{"a": "much"}', "not a JSON object of weights by class name: "),
        ('{"a": null}', "not a JSON object of weights by class name: "),
        ('{"a": 1, "z": 1}', "no class is called 'z'"),
        ('{"a": -1, "b": 2}', "the weights must be 0 or more, and one of them more than 0"),
        ('{"a": 0}', "the weights must be 0 or more, and one of them more than 0"),
        ("{}", "the weights must be 0 or more, and one of them more than 0"),
        ('{"a": NaN}', "a: must be a finite number, is NaN"),
        ('{"a": 1e999}', "a: must be a finite number, is "),
        ('{"a": 1' + 400 * "0" + "}", "a: must be a signed number of at most 64 bits, is "),
        ('{"a": 1, "a": 2}', "a: this key appears twice"),
    ],
)
def test_a_file_of_other_things_than_weights_is_refused(text, told, tmp_path):
    path = tmp_path / "prior.json"
    path.write_text(text, encoding="latin-1")
    assert refusal(str(path)).startswith(f"{path}: {told}")


def test_a_path_that_is_too_long_is_no_file():
    assert refusal("x" * 5000).startswith("prior: 'xxx")


def test_weights_near_the_largest_float_are_a_prior(tmp_path):
    path = tmp_path / "prior.json"
    path.write_text('{"a": 1e308, "b": 1e308}')
    results = run_of()
    found = prior_of(str(path), results.classes, results.test.views, results.test.label)
    assert found.tolist() == [0.5, 0.5, 0, 0, 0, 0]
