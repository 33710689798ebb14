"""The whole path on the real CIFAR-100 class folders, where LTCORE_TEST_CIFAR100 names them."""

from __future__ import annotations

import json
import os

import pytest
from torch import nn

import ltcore
from ltcore.cli import main

ROOT = os.environ.get("LTCORE_TEST_CIFAR100")

pytestmark = pytest.mark.skipif(
    ROOT is None, reason="LTCORE_TEST_CIFAR100 names no folder with the real CIFAR-100"
)


class Linear(ltcore.Backbone):
    """A linear classifier of the pixels: real data in seconds."""

    name = "pixels"
    input_size = 32

    def build(self, num_classes, head):
        model = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 1))
        ltcore.replace_head(model, num_classes, head)
        return model


class Plugin:
    @ltcore.hookimpl
    def ltcore_register_backbones(self):
        return [Linear]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("real")
    return {
        loss: ltcore.run(
            {
                "dataset": {"name": "cifar100_lt", "root": ROOT},
                "backbone": "pixels",
                "loss": loss,
                "training": {"epochs": 5, "scheduler": "constant"},
            },
            out=out,
            plugins=[Plugin()],
        )
        for loss in ("cross_entropy", "balanced_softmax")
    }


def test_report_has_the_study_s_denominators(runs, capfd):
    paths = [str(results.path) for results in runs.values()]
    assert main(["report", *paths, "--format", "json"]) == 0
    report = json.loads(capfd.readouterr().out)
    sizes = {
        "balanced": 5000,
        "long_tailed": 1051,
        "head": 844,
        "middle": 169,
        "tail": 38,
        "balanced_head": 1650,
        "balanced_middle": 1650,
        "balanced_tail": 1700,
    }
    for run in report["runs"]:
        assert {view: run["metrics"][view]["n"] for view in sizes} == sizes
        assert run["train"] == "long_tailed"


def test_balanced_softmax_beats_cross_entropy_on_the_tail(runs):
    top1 = {loss: ltcore.evaluate(results)["balanced_tail"].top1 for loss, results in runs.items()}
    assert top1["balanced_softmax"] > 2 * top1["cross_entropy"]


def test_splits_are_the_study_s(runs):
    results = runs["cross_entropy"]
    assert len(results.train_ids) == 9754
    assert results.classes.counts[0] == 450
    assert results.classes.counts[-1] == 4
    assert len(results.val.label) == 10000
    assert not set(results.train_ids) & {*results.test.id, *results.val.id}


def test_both_runs_score_the_same_images(runs):
    first, second = runs.values()
    assert list(first.test.id) == list(second.test.id)
