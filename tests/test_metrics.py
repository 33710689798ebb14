"""Every metric against scikit-learn or torchmetrics, and the cases that need a decision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from scipy.stats import binomtest
from sklearn import metrics as sklearn
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
)

from ltcore.errors import NonFiniteError
from ltcore.measures import METRICS, Metrics
from ltcore.offline import evaluate
from ltcore.predictions import Predictions
from ltcore.reporting.metrics import accuracy_only, confusion, per_class, view_metrics
from ltcore.reporting.scores import score_images
from ltcore.results import Results
from ltcore.results_files import read_results, write_results
from ltcore.spec import RunSpec
from ltcore.splits import Classes


def predictions_of(logits, label, views=None):
    ids = np.array([f"test/{index:05d}" for index in range(len(label))])
    return Predictions.from_logits(
        np.asarray(logits, dtype=np.float32), np.asarray(label), ids, views
    )


def results_of(logits, label, views=None, **more):
    k = np.shape(logits)[1]
    classes = Classes(
        names=tuple(f"class {index}" for index in range(k)),
        counts=np.full(k, 9, dtype=np.int64),
        groups=np.zeros(k, dtype=np.uint8),
    )
    spec = RunSpec(dataset="any", backbone="any", loss="any")
    return Results(
        spec=spec, name="a-run", classes=classes, test=predictions_of(logits, label, views), **more
    )


def random_case(n, k, *, scale=3.0, classes=None, seed=0):
    """Logits that know something, and labels of the given classes alone."""
    rng = np.random.default_rng(seed)
    label = rng.choice(np.arange(k) if classes is None else classes, size=n)
    logits = scale * rng.normal(size=(n, k))
    logits[np.arange(n), label] += 1.5 * scale * rng.random(n)
    return logits.astype(np.float32), label


CASES = {
    "cifar100": random_case(2000, 100),
    "absent classes": random_case(300, 50, classes=np.arange(3, 50, 4)),
    "one class": random_case(40, 10, classes=[7]),
    "one image": random_case(1, 10),
    "two classes": random_case(200, 2),
    "four classes": random_case(200, 4),
    "five classes": random_case(200, 5),
    "over-confident": random_case(500, 20, scale=30.0),
    "uniform": random_case(500, 20, scale=1e-3),
    "more classes than a block": random_case(3, 70_000),
}


@pytest.fixture(params=CASES)
def case(request):
    logits, label = CASES[request.param]
    scores = score_images(predictions_of(logits, label))
    return logits, label, view_metrics(scores, np.arange(len(label)))


def close(value):
    return pytest.approx(value, abs=1e-12, rel=1e-12)


def test_top1_is_scikit_learns(case):
    logits, label, found = case
    assert found.n == len(label)
    assert found.top1 == close(sklearn.accuracy_score(label, logits.argmax(axis=1)))


def test_top1_interval_is_scipys(case):
    logits, label, found = case
    hits = int((logits.argmax(axis=1) == label).sum())
    expected = binomtest(hits, len(label)).proportion_ci(0.95, method="wilson")
    assert (found.top1_low, found.top1_high) == (close(expected.low), close(expected.high))


def test_top5_is_scikit_learns(case):
    logits, label, found = case
    k = logits.shape[1]
    if k < 5:
        assert found.top5 is None
    elif k == 5:
        assert found.top5 == 1.0
    else:
        expected = sklearn.top_k_accuracy_score(label, logits, k=5, labels=np.arange(k))
        assert found.top5 == close(expected)


def test_top5_is_torchmetrics():
    logits, label = CASES["cifar100"]
    expected = multiclass_accuracy(
        torch.from_numpy(logits), torch.from_numpy(label), 100, average="micro", top_k=5
    )
    assert view_metrics(score_images(predictions_of(logits, label)), np.arange(2000)).top5 == (
        pytest.approx(expected.item(), abs=1e-7)  # torchmetrics divides in float32
    )


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")
def test_balanced_accuracy_is_scikit_learns(case):
    logits, label, found = case
    expected = sklearn.balanced_accuracy_score(label, logits.argmax(axis=1))
    assert found.balanced_accuracy == close(expected)


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_f1_is_scikit_learns_over_the_classes_of_the_view(case, average):
    logits, label, found = case
    expected = sklearn.f1_score(
        label,
        logits.argmax(axis=1),
        labels=np.unique(label),
        average=average,
        zero_division=0,
    )
    assert getattr(found, f"f1_{average}") == close(expected)


def test_g_mean_is_the_geometric_mean_of_scikit_learns_recalls(case):
    logits, label, found = case
    recalls = recalls_of_view(logits, label)
    assert found.g_mean == close(np.prod(recalls) ** (1 / len(recalls)))


def test_worst_recall_is_scikit_learns_smallest(case):
    logits, label, found = case
    assert found.worst_recall == close(recalls_of_view(logits, label).min())


def recalls_of_view(logits, label):
    """Of the classes that have an image."""
    return sklearn.recall_score(
        label, logits.argmax(axis=1), labels=np.unique(label), average=None, zero_division=0
    )


def test_one_class_that_is_never_right_has_the_g_mean_and_the_worst_recall_at_zero():
    logits = np.eye(3)[[0, 1, 2, 1]]
    found = view_metrics(score_images(predictions_of(logits, [0, 1, 1, 2])), np.arange(4))
    assert (found.g_mean, found.worst_recall) == (0.0, 0.0)


def test_the_g_mean_of_perfect_predictions_is_exactly_one():
    label = np.arange(7).repeat(3)
    found = view_metrics(score_images(predictions_of(np.eye(7)[label], label)), np.arange(21))
    assert (found.g_mean, found.worst_recall) == (1.0, 1.0)


def test_nll_is_the_mean_of_the_log_softmax(case):
    logits, label, found = case
    of_label = log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(label)), label]
    assert found.nll == close(-of_label.mean())


def test_nll_is_scikit_learns():
    logits, label = CASES["cifar100"]
    found = view_metrics(score_images(predictions_of(logits, label)), np.arange(2000))
    probabilities = softmax(logits.astype(np.float64), axis=1)
    assert found.nll == close(sklearn.log_loss(label, probabilities, labels=np.arange(100)))


def test_brier_is_the_mean_squared_distance_from_the_one_hot_labels(case):
    logits, label, found = case
    probabilities = softmax(logits.astype(np.float64), axis=1)
    probabilities[np.arange(len(label)), label] -= 1.0
    assert found.brier == close(np.mean(np.sum(probabilities**2, axis=1)))


def test_brier_is_scikit_learns_of_two_classes():
    logits, label = CASES["two classes"]
    found = view_metrics(score_images(predictions_of(logits, label)), np.arange(200))
    positive = softmax(logits.astype(np.float64), axis=1)[:, 1]
    # It counts one of the two classes; both are as far off.
    assert found.brier == close(2 * sklearn.brier_score_loss(label, positive))


def test_brier_of_a_sure_image_is_not_lost_in_rounding():
    scores = score_images(predictions_of([[20.0, 0.0, 0.0]], [0]))
    other = np.exp(-20.0) / (1.0 + 2.0 * np.exp(-20.0))
    assert scores.brier[0] == pytest.approx(6 * other**2, rel=1e-6)  # 2.5e-17


def test_brier_of_sure_mistakes_is_two():
    scores = score_images(predictions_of([[1e4, 0.0, -1e4]], [2]))
    assert scores.brier.tolist() == [2.0]


def test_ece_is_guos_over_fifteen_right_closed_bins(case):
    logits, label, found = case
    probabilities = softmax(logits.astype(np.float64), axis=1)
    confidence, correct = probabilities.max(axis=1), logits.argmax(axis=1) == label
    expected = 0.0
    for low, high in zip(np.linspace(0, 1, 16)[:-1], np.linspace(0, 1, 16)[1:], strict=True):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = abs(correct[inside].mean() - confidence[inside].mean())
            expected += gap * inside.mean()
    assert found.ece == close(expected)


@pytest.mark.parametrize("name", ["cifar100", "four classes", "over-confident"])
def test_ece_is_torchmetrics(name):
    logits, label = CASES[name]
    found = view_metrics(score_images(predictions_of(logits, label)), np.arange(len(label)))
    expected = multiclass_calibration_error(
        torch.from_numpy(softmax(logits.astype(np.float64), axis=1)),
        torch.from_numpy(label),
        num_classes=logits.shape[1],
        n_bins=15,
    )
    assert found.ece == pytest.approx(expected.item(), abs=1e-6)  # it adds in float32


def test_ece_bins_are_closed_on_the_right():
    # Confidence 1/3 is the edge of bins 5 and 6; 0.34 lies in bin 6. Apart, their gaps add up:
    # (2/3 + 0.34) / 2. Together they would cancel in part: |1 - 1/3 - 0.34| / 2.
    third = [0.0, 0.0, 0.0]
    above = np.log([0.34, 0.33, 0.33])
    found = view_metrics(score_images(predictions_of([third, above], [0, 1])), np.arange(2))
    assert found.ece == pytest.approx((2 / 3 + 0.34) / 2, abs=1e-7)


def test_adaptive_ece_is_that_of_bins_of_equally_many_images(case):
    logits, label, found = case
    probabilities = softmax(logits.astype(np.float64), axis=1)
    # Rounded, or the softmax of equal logits in another order would not be equal.
    confidence, correct = probabilities.max(axis=1).round(14), logits.argmax(axis=1) == label
    shared = np.array([correct[confidence == value].mean() for value in confidence])
    expected = 0.0
    for images in np.array_split(np.argsort(confidence), 15):
        if len(images):
            gap = abs(shared[images].mean() - confidence[images].mean())
            expected += gap * len(images) / len(label)
    assert found.ece_adaptive == pytest.approx(expected, abs=1e-12)


def test_equal_logits_are_ranked_by_index_as_the_argmax_is():
    logits = np.zeros((8, 8))
    scores = score_images(predictions_of(logits, np.arange(8)))
    assert scores.rank.tolist() == list(range(8))
    found = view_metrics(scores, np.arange(8))
    assert (found.top1, found.top5) == (1 / 8, 5 / 8)


def test_ranks_are_those_of_a_stable_sort():
    rng = np.random.default_rng(1)
    logits = rng.integers(0, 4, size=(400, 12)).astype(np.float32)
    label = rng.integers(0, 12, size=400)
    order = np.argsort(-logits, axis=1, kind="stable")
    expected = np.argmax(order == label[:, None], axis=1)
    assert score_images(predictions_of(logits, label)).rank.tolist() == expected.tolist()


def test_an_empty_view_has_no_metrics():
    found = evaluate(results_of(*CASES["cifar100"], views={"few": np.empty(0, dtype=np.int64)}))
    assert found["few"] == Metrics(n=0)
    assert all(getattr(found["few"], metric) is None for metric in METRICS)


def test_an_absent_view_of_the_study_has_no_metrics():
    assert evaluate(results_of(*CASES["cifar100"]))["tail"] == Metrics(n=0)


def test_a_view_has_the_metrics_of_its_images_alone():
    logits, label = CASES["absent classes"]
    indices = np.flatnonzero(label < 20)
    of_view = evaluate(results_of(logits, label, views={"head": indices}))["head"]
    alone = score_images(predictions_of(logits[indices], label[indices]))
    assert of_view == view_metrics(alone, np.arange(len(indices)))


def test_predictions_outside_the_views_classes_count_as_misses():
    logits = np.eye(6)[[0, 5, 1, 1]]
    found = view_metrics(score_images(predictions_of(logits, [0, 0, 1, 1])), np.arange(4))
    assert found.balanced_accuracy == 0.75
    assert found.f1_macro == close((2 / 3 + 1) / 2)


@pytest.mark.parametrize(
    ("label", "whole"), [([0, 1, 2, 0, 1, 2], "balanced"), ([0, 1, 2, 0, 1, 1], "all")]
)
def test_the_whole_split_is_balanced_or_all(label, whole):
    found = evaluate(results_of(np.eye(3)[label], label))
    assert next(iter(found)) == whole
    assert found[whole].n == 6
    assert ("all" in found) != ("balanced" in found)


def test_views_come_in_the_order_of_reports():
    some = np.arange(2)
    views = {"zebra": some, "few": some, "ape": some, "tail": some, "balanced_tail": some}
    found = evaluate(results_of(np.eye(3)[[0, 1, 2]], [0, 1, 2], views=views))
    assert list(found) == [
        *("balanced", "long_tailed", "head", "middle", "tail", "balanced_tail", "few"),
        *("ape", "zebra"),
    ]


def test_published_accuracies_have_top1_and_its_interval_alone():
    results = results_of(*CASES["cifar100"], origin="accuracies")
    whole = evaluate(results)["all"]
    full = evaluate(replace(results, origin=None))["all"]
    assert whole == Metrics(2000, full.top1, full.top1_low, full.top1_high)


def test_accuracy_of_no_image_is_none():
    assert accuracy_only(np.empty(0, dtype=np.bool_)) == Metrics(n=0)


@pytest.mark.parametrize("name", ["absent classes", "one class", "four classes"])
def test_per_class_is_scikit_learns_with_nan_where_undefined(name):
    logits, label = CASES[name]
    k = logits.shape[1]
    found = per_class(score_images(predictions_of(logits, label)))
    more = {"labels": np.arange(k), "average": None, "zero_division": np.nan}
    prediction = logits.argmax(axis=1)
    assert found.images.tolist() == np.bincount(label, minlength=k).tolist()
    np.testing.assert_array_equal(found.recall, sklearn.recall_score(label, prediction, **more))
    np.testing.assert_array_equal(
        found.precision, sklearn.precision_score(label, prediction, **more)
    )
    assert np.isnan(found.recall).any() == (len(np.unique(label)) < k)


def test_a_class_that_is_never_predicted_has_no_precision():
    found = per_class(score_images(predictions_of(np.eye(3)[[0, 0, 2]], [0, 1, 1])))
    np.testing.assert_array_equal(found.precision, [0.5, np.nan, 0.0])
    np.testing.assert_array_equal(found.recall, [1.0, 0.0, np.nan])


def test_per_class_of_a_view_is_that_of_its_images():
    logits, label = CASES["four classes"]
    view = np.array([3, 1, 70])
    found = per_class(score_images(predictions_of(logits, label)), view)
    alone = per_class(score_images(predictions_of(logits[view], label[view])))
    np.testing.assert_array_equal(found.recall, alone.recall)
    np.testing.assert_array_equal(found.precision, alone.precision)


@pytest.mark.parametrize("name", ["absent classes", "four classes"])
def test_confusion_is_scikit_learns(name):
    logits, label = CASES[name]
    found = confusion(score_images(predictions_of(logits, label)))
    expected = sklearn.confusion_matrix(
        label, logits.argmax(axis=1), labels=np.arange(logits.shape[1])
    )
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)


def test_confusion_has_labels_in_rows_and_counts_a_views_images_alone():
    scores = score_images(predictions_of(np.eye(3)[[2, 2, 0]], [1, 1, 0]))
    assert confusion(scores, np.array([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_no_number_is_refused(wrong):
    logits, label = CASES["four classes"]
    logits = logits.copy()
    logits[3, 1] = wrong
    with pytest.raises(NonFiniteError, match="a test logit is NaN or infinite"):
        score_images(predictions_of(logits, label))


def test_logits_of_any_finite_size_give_finite_metrics():
    largest = np.finfo(np.float32).max
    logits = np.array([[largest, -largest, 0.0], [0.0, 1e4, -1e4]], dtype=np.float32)
    found = view_metrics(score_images(predictions_of(logits, [1, 2])), np.arange(2))
    assert np.isfinite(found.nll)
    assert found.ece == 1.0


def test_metrics_of_a_file_are_those_of_memory_to_the_last_bit(tmp_path):
    logits, label = CASES["absent classes"]
    # Column-major, as a transposed tensor would hand them over.
    results = results_of(np.asfortranarray(logits), label, views={"tail": np.arange(5, 200, 3)})
    path = write_results(results, tmp_path / "run.h5")
    assert evaluate(read_results(path)) == evaluate(results)


def test_metrics_do_not_depend_on_how_many_images_are_scored_together():
    logits, label = CASES["cifar100"]
    whole = score_images(predictions_of(logits, label))
    for part in (slice(0, 1), slice(650, 660), slice(1999, 2000)):
        scores = score_images(predictions_of(logits[part], label[part]))
        assert scores.nll.tolist() == whole.nll[part].tolist()
        assert scores.brier.tolist() == whole.brier[part].tolist()
        assert scores.confidence.tolist() == whole.confidence[part].tolist()
