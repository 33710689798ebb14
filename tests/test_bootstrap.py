"""Replicates against metrics of really repeated images, and intervals against known coverage."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from ltcore.measures import METRICS
from ltcore.predictions import Predictions
from ltcore.reporting.bootstrap import (
    RESAMPLES,
    Resampling,
    accuracy_replicates,
    percentile_interval,
    replicates,
)
from ltcore.reporting.intervals import wilson_interval
from ltcore.reporting.metrics import view_metrics
from ltcore.reporting.scores import score_images


def scores_of(logits, label):
    ids = np.arange(len(label)).astype(str)
    logits = np.asarray(logits, dtype=np.float32)
    return score_images(Predictions.from_logits(logits, np.asarray(label), ids))


def random_scores(n, k, *, classes=None, scale=3.0, help_label=2.0, whole=False):
    rng = np.random.default_rng(n + k)
    label = rng.choice(np.arange(k) if classes is None else classes, size=n)
    logits = scale * rng.normal(size=(n, k))
    logits[np.arange(n), label] += help_label * scale * rng.random(n)
    return scores_of(logits.round() if whole else logits, label)


# Scores of a split, and the view's indices into it.
CASES = {
    "classes of many images": (random_scores(1500, 20, help_label=5.0), np.arange(1500)),
    "classes of few images": (random_scores(300, 80), np.arange(40, 300, 2)),
    "absent classes": (random_scores(200, 30, classes=[3, 7, 20]), np.arange(200)),
    "equal confidences": (random_scores(400, 6, whole=True, scale=1.0), np.arange(400)),
    "sure of everything": (random_scores(400, 8, scale=60.0), np.arange(400)),
    "nothing right": (random_scores(60, 9, help_label=-50.0), np.arange(60)),
    "four classes": (random_scores(1500, 4), np.arange(1500)),
    "ten images": (random_scores(30, 6), np.arange(3, 30, 3)),
    "one image": (random_scores(5, 6), np.array([2])),
}


def all_of(resampling):
    return np.concatenate(list(resampling.multiplicities()))


def mean_by_share(metric, scores, drawn, indices):
    """The mean over classes, each by how many of its images were drawn, of those it has."""
    label, predicted = scores.label[drawn], scores.prediction[drawn]
    value, share = [], []
    for of in np.unique(label):
        hits, images = np.sum((label == of) & (predicted == of)), np.sum(label == of)
        value.append(
            hits / images
            if metric == "balanced_accuracy"
            else 2 * hits / (images + np.sum(predicted == of))
        )
        share.append(images / np.sum(scores.label[indices] == of))
    return np.average(value, weights=share)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("case", CASES)
def test_a_replicate_is_the_metric_of_the_repeated_images(case, metric):
    scores, indices = CASES[case]
    resampling = Resampling(scores.label[indices])
    times = all_of(resampling)
    found = replicates(resampling, metric, scores, indices)
    assert found.shape == (RESAMPLES,)
    for resample in (0, 1, 777, RESAMPLES - 1):
        drawn = np.repeat(indices, times[resample])
        if metric in ("balanced_accuracy", "f1_macro"):
            expected = mean_by_share(metric, scores, drawn, indices)
        else:
            expected = view_metrics(scores, drawn).value(metric)
        expected = np.nan if expected is None else expected
        assert found[resample] == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)


def test_the_cases_have_resamples_that_lose_a_class():
    scores, indices = CASES["classes of few images"]
    label = scores.label[indices]
    assert not Resampling(label).stratified
    first = all_of(Resampling(label))[0]
    assert len(np.unique(np.repeat(label, first))) < len(np.unique(label))


@pytest.mark.parametrize("metric", ["balanced_accuracy", "f1_macro"])
def test_means_over_classes_are_not_moved_by_classes_that_a_resample_lacks(metric):
    # Head classes of 20 images and right, tail classes of one and wrong: a third is not drawn.
    label = np.concatenate([np.arange(10).repeat(20), np.arange(10, 40)])
    scores = scores_of(np.eye(40)[np.where(label < 10, label, 39)], label)
    indices = np.arange(len(label))
    found = replicates(Resampling(label), metric, scores, indices)
    assert found.mean() == pytest.approx(view_metrics(scores, indices).value(metric), abs=0.01)


def test_the_interval_of_balanced_accuracy_holds_the_truth_on_a_long_tailed_view():
    label = np.repeat(np.arange(30), np.maximum(30 - 3 * np.arange(30), 1))
    chance = np.linspace(0.9, 0.1, 30)
    indices, resampling = np.arange(len(label)), Resampling(label)
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        right = rng.random(len(label)) < chance[label]
        scores = scores_of(np.eye(30)[np.where(right, label, (label + 1) % 30)], label)
        found = replicates(resampling, "balanced_accuracy", scores, indices)
        low, high = percentile_interval(found)
        held += low <= chance.mean() <= high
    assert held >= 92


def test_top5_of_fewer_than_five_classes_has_no_replicates():
    scores, indices = CASES["four classes"]
    found = replicates(Resampling(scores.label[indices]), "top5", scores, indices)
    assert np.isnan(found).all()


def test_accuracy_replicates_of_many_runs_are_those_of_each():
    scores, indices = CASES["classes of many images"]
    resampling = Resampling(scores.label[indices])
    correct = np.stack([scores.correct, np.zeros(1500, dtype=np.bool_), scores.rank == 1])
    found = accuracy_replicates(resampling, correct)
    assert found.shape == (3, RESAMPLES)
    assert found[0].tolist() == replicates(resampling, "top1", scores, indices).tolist()
    assert found[1].tolist() == [0.0] * RESAMPLES
    assert found[2].tolist() == (all_of(resampling) @ (scores.rank == 1) / 1500).tolist()


@pytest.mark.parametrize("n", [1, 7, 1000, 20_000, 300_000])
def test_blocks_of_multiplicities_are_bounded_and_hold_as_many_images_as_the_view(n):
    blocks = Resampling(np.zeros(n, dtype=np.int32)).multiplicities()
    for block in itertools.islice(blocks, 2):
        assert block.dtype == np.uint8
        assert block.shape[1] == n
        assert block.size <= max(n, 2**18)
        assert (block.sum(axis=1) == n).all()


def test_there_are_as_many_resamples_as_said():
    assert len(all_of(Resampling(np.zeros(777, dtype=np.int32)))) == RESAMPLES


@pytest.mark.parametrize("n", [50, 20_000])
def test_each_pass_and_each_resampling_of_the_same_images_draws_the_same(n):
    label = np.arange(n) % 10
    one, other = Resampling(label), Resampling(label.copy())
    passes = [next(iter(r.multiplicities())).tolist() for r in (one, one, other)]
    assert passes[0] == passes[1] == passes[2]


def test_the_draws_are_those_of_every_process_and_version():
    drawn = all_of(Resampling(np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1])))
    assert drawn[0].tolist() == [1, 1, 0, 0, 1, 1, 2, 2, 1, 1]
    assert drawn[1].tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 2, 1]
    assert drawn[-1].tolist() == [1, 1, 1, 0, 1, 1, 1, 1, 1, 2]


def test_resamples_differ():
    assert len(np.unique(all_of(Resampling(np.zeros(100, dtype=np.int32))), axis=0)) == RESAMPLES


def test_multiplicities_cannot_be_changed_by_who_reads_them():
    block = next(Resampling(np.zeros(9, dtype=np.int32)).multiplicities())
    with pytest.raises(ValueError, match="read-only"):
        block[0] = 1


@pytest.mark.parametrize(
    ("sizes", "stratified"),
    [([5, 5], True), ([100, 5, 0, 7], True), ([5, 4], False), ([1, 1, 1], False), ([1], False)],
)
def test_classes_are_strata_where_each_has_five_images(sizes, stratified):
    assert Resampling(np.arange(len(sizes)).repeat(sizes)).stratified is stratified


def test_strata_keep_their_sizes_and_draw_their_images_equally_often():
    label = np.random.default_rng(0).permutation(np.arange(4).repeat([5, 40, 11, 200]))
    times = all_of(Resampling(label))
    for group, size in enumerate([5, 40, 11, 200]):
        of_group = times[:, label == group]
        assert (of_group.sum(axis=1) == size).all()
        deviation = np.sqrt((1 - 1 / size) / RESAMPLES)
        assert np.abs(of_group.mean(axis=0) - 1).max() < 5 * deviation
        assert of_group.var() == pytest.approx(1 - 1 / size, rel=0.1)


def test_images_are_drawn_equally_often_without_strata():
    times = all_of(Resampling(np.arange(60)))
    assert np.abs(times.mean(axis=0) - 1).max() < 5 / np.sqrt(RESAMPLES)
    assert times.var() == pytest.approx(1 - 1 / 60, rel=0.05)


def test_classes_of_one_image_still_vary():
    found = accuracy_replicates(Resampling(np.arange(30)), np.arange(30)[None] < 20)
    assert found.std() == pytest.approx(np.sqrt(2 / 3 * 1 / 3 / 30), rel=0.1)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_interval_of_a_known_share_is_close_to_wilsons(share):
    correct = np.arange(1000)[None] < 1000 * share
    found = percentile_interval(accuracy_replicates(Resampling(np.zeros(1000, int)), correct)[0])
    assert found == pytest.approx(wilson_interval(1000 * share, 1000), abs=0.004)


def coverage(resampling, chance):
    """How often intervals of 1,000 random runs hold the true accuracy, and their mean width."""
    rng = np.random.default_rng(0)
    correct = rng.random((1000, len(chance))) < chance
    low, high = np.percentile(accuracy_replicates(resampling, correct), (2.5, 97.5), axis=1)
    return np.mean((low <= chance.mean()) & (chance.mean() <= high)), np.mean(high - low)


def test_intervals_hold_the_truth_as_often_as_they_say_where_test_sets_are_drawn_by_class():
    label = np.arange(8).repeat(50)
    chance = np.linspace(0.05, 0.95, 8).repeat(50)
    stratified, width = coverage(Resampling(label), chance)
    assert 0.93 <= stratified <= 0.97
    # One class an image: drawn from all, as if the classes' sizes were chance too.
    unstratified, wider = coverage(Resampling(np.arange(400)), chance)
    assert unstratified > 0.97
    assert wider > 1.15 * width


def test_differences_of_paired_replicates_see_what_runs_have_in_common():
    rng = np.random.default_rng(0)
    one = rng.random(500) < 0.7
    other = np.where(rng.random(500) < 0.05, ~one, one)
    label = np.zeros(500, dtype=np.int32)
    first, second = accuracy_replicates(Resampling(label), np.stack([one, other]))
    only_one, only_other = (one & ~other).mean(), (other & ~one).mean()
    expected = np.sqrt((only_one + only_other - (only_one - only_other) ** 2) / 500)
    assert np.std(first - second) == pytest.approx(expected, rel=0.1)


def test_percentile_interval_leaves_out_a_fortieth_at_each_end():
    values = np.random.default_rng(0).permutation(np.arange(1001.0))
    assert percentile_interval(values) == (25.0, 975.0)


def test_no_digit_of_a_replicate_depends_on_how_many_threads_there_are():
    script = (
        "import hashlib\n"
        "import numpy as np\n"
        "from ltcore.measures import METRICS\n"
        "from ltcore.reporting.bootstrap import Resampling, replicates\n"
        "from tests.test_bootstrap import random_scores\n"
        "scores = random_scores(844, 33)\n"
        "of = Resampling(scores.label)\n"
        "for metric in METRICS:\n"
        "    values = replicates(of, metric, scores, np.arange(844))\n"
        "    print(metric, hashlib.sha256(values.tobytes()).hexdigest())\n"
    )
    one, two = (
        subprocess.run(
            [sys.executable, "-c", script],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        ).stdout.splitlines()
        for threads in (1, 2)
    )
    assert len(one) == len(METRICS)
    assert one == two
