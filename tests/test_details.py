"""What a report of single runs shows, against plain loops over the images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ltcore.errors import NonFiniteError
from ltcore.predictions import Predictions
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.details import details_of
from ltcore.reporting.study import compare
from ltcore.results import Results
from ltcore.spec import RunSpec
from ltcore.splits import Classes

LABEL = np.array([0, 0, 0, 1, 1, 2])
LOGITS = np.array(
    [[2, 1, 0, 0], [2, 1, 0, 0], [0, 3, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]],
    dtype=np.float32,
)
"""Predictions 0, 0, 1, 1, 0, 1: the classes 2 and 3 are never predicted, 3 has no image."""


def make(**more):
    spec = {"dataset": "pictures", "backbone": "resnet", "loss": {"name": "focal", "gamma": 2}}
    views = {"balanced_tail": np.array([5]), "balanced_head": np.arange(0), "tail": np.array([5])}
    ids = np.array([f"test/{index}" for index in range(len(LABEL))])
    return Results(
        spec=RunSpec.model_validate(spec, strict=False),
        name="resnet-focal",
        classes=Classes(tuple("abcd"), np.array([9, 3, 2, 1]), np.array([0, 1, 2, 2], dtype="u1")),
        test=Predictions.from_logits(LOGITS, LABEL, ids, views),
        **more,
    )


def test_the_confusion_counts_each_image_at_its_label_and_prediction():
    expected = np.zeros((4, 4), dtype=np.int64)
    for logits, label in zip(LOGITS, LABEL, strict=True):
        expected[label, int(np.argmax(logits))] += 1
    assert np.array_equal(details_of(make()).confusion, expected)


def test_recall_and_precision_are_nan_where_there_is_nothing_to_count():
    details = details_of(make())
    assert details.images.tolist() == [3, 2, 1, 0]
    np.testing.assert_array_equal(details.recall, [2 / 3, 1 / 2, 0, np.nan])
    np.testing.assert_array_equal(details.precision, [2 / 3, 1 / 3, np.nan, np.nan])


def test_reliability_is_of_the_whole_split_and_of_groups_that_have_images():
    diagrams = details_of(make()).reliability
    assert list(diagrams) == ["all", "balanced_tail"]
    assert diagrams["all"].images.sum() == 6
    filled = diagrams["balanced_tail"].images > 0
    assert diagrams["balanced_tail"].images[filled].tolist() == [1]
    assert diagrams["balanced_tail"].accuracy[filled].tolist() == [0]
    confidence = np.e / (np.e + 3)
    assert diagrams["balanced_tail"].confidence[filled] == pytest.approx([confidence], abs=1e-7)


def test_spec_history_and_facts_come_through():
    history = {"epoch": np.arange(2), "val_top1": np.array([0.1, 0.2])}
    results = make(history=history, best_epoch=1, plugins={"losses": "1.0"})
    details = compare([results], Analysis(details=True)).runs[0].details
    assert details.spec["loss"] == {"name": "focal", "gamma": 2}
    assert details.history["val_top1"].tolist() == [0.1, 0.2]
    assert details.facts == {"plugins": {"losses": "1.0"}, "best_epoch": 1, "verified": False}
    assert details.classes.names == tuple("abcd")


def test_published_accuracies_say_nothing_of_a_class():
    details = details_of(make(origin="accuracies"))
    assert details.images.tolist() == [3, 2, 1, 0]
    assert np.isnan(details.recall).all()
    assert np.isnan(details.precision).all()
    assert details.confusion.tolist() == np.zeros((4, 4)).tolist()
    assert details.reliability == {}
    assert details.facts["origin"] == "accuracies"


def test_a_logit_that_is_not_finite_is_refused():
    results = make()
    broken = np.where(LOGITS == 3, np.inf, LOGITS)
    with pytest.raises(NonFiniteError, match="a test logit is NaN or infinite"):
        details_of(replace(results, test=replace(results.test, logits=broken)))
