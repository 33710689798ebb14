"""What the table and JSON show: every number, every mark, and nothing that a name could inject."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from dataclasses import replace

import numpy as np
import pytest

import ltcore
from ltcore.components import Reporter
from ltcore.errors import SpecError
from ltcore.measures import METRICS
from ltcore.offline import evaluate
from ltcore.predictions import Predictions
from ltcore.reporting.reporters import BUILTIN, RESERVED_NAMES, Wants, builtin_reporters
from ltcore.reporting.reporters.json import Json
from ltcore.reporting.reporters.options import TablesReporter
from ltcore.reporting.reporters.table import Table
from ltcore.reporting.study import compare
from ltcore.results import Results
from ltcore.results_files import write_results
from ltcore.spec import RunSpec
from ltcore.splits import Classes

K = 6
LABEL = np.repeat(np.arange(K), 4)
IDS = np.array([f"test/{index}" for index in range(len(LABEL))])
VIEWS = {
    "balanced": np.arange(24),
    "long_tailed": np.array([0, 1, 2, 3, 4, 5, 8, 9, 12, 16, 20]),
    "head": np.array([0, 1, 2, 3, 4, 5]),
    "middle": np.array([8, 9, 12]),
    "tail": np.array([16, 20]),
    "balanced_tail": np.arange(16, 24),
    "few": np.arange(8, 24),
}


def make(hits, loss="focal", backbone="resnet50", *, seed=42, views=VIEWS, **more):
    """A run that is right on the first ``hits`` of 24 images, and sure of it."""
    prediction = np.where(np.arange(24) < hits, LABEL, (LABEL + 1) % K)
    logits = 9 * np.eye(K, dtype=np.float32)[prediction]
    spec = {"dataset": "digits_lt", "backbone": backbone, "loss": loss, "seed": seed}
    return Results(
        spec=RunSpec.model_validate(spec, strict=False),
        name=more.pop("name", f"{backbone}-{loss}-s{seed}"),
        classes=Classes(
            tuple("abcdef"), np.array([32, 16, 8, 4, 2, 1]), np.repeat([0, 1, 2], 2).astype("u1")
        ),
        test=Predictions.from_logits(logits, LABEL, IDS, views),
        **{"verified": True, **more},
    )


def table(runs, **parameters):
    return Table(**parameters).render(compare(runs))


def lines_of(text, start):
    """The words of the lines whose first word is ``start``."""
    return [line.split() for line in text.splitlines() if line.split()[:1] == [start]]


def test_builtin_reporters_are_components_under_reserved_names():
    reporters = builtin_reporters()
    assert set(reporters) <= set(RESERVED_NAMES)
    assert list(reporters) == list(RESERVED_NAMES)
    for name, reporter in reporters.items():
        assert issubclass(reporter, Reporter)
        assert reporter.name == name
        assert reporter().render(compare([make(9)])).endswith("\n")


def test_what_a_builtin_reporter_wants_is_known_before_it_is_imported():
    wanted = {
        name: Wants(
            every_metric=not issubclass(reporter, TablesReporter),
            details=reporter.wants_details,
            every_pair=name == "json",
        )
        for name, reporter in builtin_reporters().items()
    }
    assert wanted == BUILTIN


def test_all_six_names_are_reserved():
    assert RESERVED_NAMES == ("table", "markdown", "latex", "csv", "json", "html")


def test_json_has_the_documented_shape():
    document = json.loads(Json().render(compare([make(9)])))
    assert list(document) == [
        *("runs", "by_backbone", "by_loss", "over_seeds", "pairs", "gains", "controls"),
        *("published", "ensemble", "warnings", "unreadable"),
    ]
    (run,) = document["runs"]
    assert list(run) == [
        *("name", "dataset", "backbone", "loss", "seed", "train", "path", "metrics"),
    ]
    assert list(run["metrics"]["tail"]) == [
        *("n", "top1", "top1_low", "top1_high", "top5", "balanced_accuracy"),
        *("f1_macro", "f1_weighted", "g_mean", "worst_recall"),
        *("nll", "brier", "ece", "ece_adaptive"),
    ]
    assert set(document["by_backbone"]["long_tailed"]["resnet50"]["tail"]) == {
        *("mean", "std", "runs"),
    }
    assert document["over_seeds"] == []


def test_json_keeps_every_bit(tmp_path):
    results = make(9)
    path = write_results(results, tmp_path / "run.h5")
    (run,) = json.loads(Json().render(compare([path])))["runs"]
    assert run["path"] == str(path)
    assert run["metrics"] == {view: m.to_record() for view, m in evaluate(results).items()}


def test_json_has_null_where_nothing_is_known():
    text = Json().render(compare([make(9, views={"few": np.empty(0, dtype=np.int64)})]))
    metrics = json.loads(text)["runs"][0]["metrics"]
    assert metrics["few"] == metrics["tail"] == {**dict.fromkeys(metrics["few"]), "n": 0}
    assert "NaN" not in text


def test_table_of_one_backbone_in_full():
    runs = [make(13, "cross_entropy"), make(22, "ldam"), make(13, "focal")]
    assert table(runs) == (
        "long_tailed: trained on digits_lt, 63 images, 6 classes of 32 to 1\n"
        "\n"
        "resnet50: top-1 in %; * best of 3, on this split\n"
        "                                                                 Balanced\n"
        "               Balanced  Long-tailed     Head   Middle     Tail      tail\n"
        "Loss               n=24         n=11      n=6      n=3      n=2       n=8\n"
        "─────────────────────────────────────────────────────────────────────────\n"
        "cross_entropy     54.17       81.82~  100.00*  100.00*    0.00~     0.00~\n"
        "focal             54.17       81.82~  100.00*  100.00*    0.00~     0.00~\n"
        "ldam             91.67*      100.00*  100.00*  100.00*  100.00*    75.00*\n"
        "\n"
        "Mean ± population std (ddof 0) over 3 losses: top-1 in %\n"
        "                                                                              Balanced\n"
        "             Balanced  Long-tailed         Head       Middle         Tail         tail\n"
        "Backbone         n=24         n=11          n=6          n=3          n=2          n=8\n"
        "──────────────────────────────────────────────────────────────────────────────────────\n"
        "resnet50  66.67±17.68   87.88±8.57  100.00±0.00  100.00±0.00  33.33±47.14  25.00±35.36\n"
        "\n"
        "resnet50: gain over cross_entropy, top-1 in points\n"
        "                                                       Balanced\n"
        "       Balanced  Long-tailed   Head  Middle      Tail      tail\n"
        "Loss       n=24         n=11    n=6     n=3       n=2       n=8\n"
        "───────────────────────────────────────────────────────────────\n"
        "focal      0.00         0.00   0.00    0.00      0.00      0.00\n"
        "ldam    +37.50°       +18.18   0.00    0.00   +100.00    +75.00\n"
        "\n"
        "~ not separable from the best of its column: by the exact McNemar test of the two trained "
        "models\nafter Holm's correction over its column's tests, m = 2 to 3 (one seed); by the t "
        "interval of the\ndifferences (three seeds and more); two seeds separate nothing\n"
        "° one seed: these two trained models differ, p < 0.05 by the exact McNemar test after "
        "Holm's\ncorrection over its column's tests, m = 2 to 3\n"
        "Fewer than 3 seeds (focal, ldam): too few to say anything of the losses; what is said is "
        "of these\ntrained models.\n"
    )


def test_table_averages_over_losses_and_over_backbones():
    runs = [
        make(hits, loss, backbone)
        for hits, loss, backbone in (
            (6, "focal", "resnet50"),
            (12, "ldam", "resnet50"),
            (18, "focal", "vit_b_16"),
            (24, "ldam", "vit_b_16"),
        )
    ]
    text = table(runs)
    over_losses, over_backbones = text.split("Mean ±")[1:]
    assert "population std (ddof 0) over 2 losses" in over_losses
    assert lines_of(over_losses, "resnet50")[0][1] == "37.50±12.50"
    assert lines_of(over_losses, "vit_b_16")[0][1] == "87.50±12.50"
    assert "population std (ddof 0) over 2 backbones" in over_backbones
    assert lines_of(over_backbones, "focal")[0][1] == "50.00±25.00"
    assert lines_of(over_backbones, "ldam")[0][1] == "75.00±25.00"


def test_table_shows_a_missing_run_and_how_many_a_mean_holds():
    runs = [make(6), make(12, "ldam"), make(18, backbone="vit_b_16")]
    text = table(runs)
    rows = lines_of(text.split("vit_b_16: top-1")[1], "ldam")
    assert rows[0] == ["ldam", *["no", "run"] * 6]
    assert lines_of(text, "vit_b_16")[0][1:5] == ["(1", "of", "2)", "75.00"]
    assert "ldam (1 of 2)" in text
    assert "focal (" not in text


def test_table_says_of_how_many_a_best_value_is_the_best():
    runs = [make(6), make(9, "ldam"), make(24, "other", origin="accuracies")]
    assert "* best of 3, on this split" in table(runs)
    assert "* best of 2, on this split" in table(runs, metrics=("nll",))


def test_table_of_a_single_run_marks_no_best():
    assert "*" not in table([make(6)])


@pytest.mark.parametrize(("metric", "best"), [("top1", "ldam"), ("nll", "ldam"), ("ece", "ldam")])
def test_the_best_is_the_lowest_of_nll_and_ece_and_the_highest_of_others(metric, best):
    text = table([make(6), make(24, "ldam")], metrics=(metric,), views=("balanced",))
    (marked,) = (line for line in text.splitlines() if line.endswith("*"))
    assert marked.startswith(best)


@pytest.mark.parametrize(
    ("metric", "title", "factor"),
    [
        ("top1", "top-1 in %", 100),
        ("top5", "top-5 in %", 100),
        ("balanced_accuracy", "balanced accuracy in %", 100),
        ("f1_macro", "macro F1 in %", 100),
        ("f1_weighted", "weighted F1 in %", 100),
        ("nll", "NLL in nats, lower is better", 1),
        ("ece", "ECE in %, lower is better", 100),
    ],
)
def test_table_shows_any_metric(metric, title, factor):
    results = make(13)
    text = table([results], metrics=(metric,), digits=4)
    expected = [
        factor * getattr(evaluate(results)[view], metric)
        for view in ("balanced", "long_tailed", "head", "middle", "tail", "balanced_tail")
    ]
    assert f"resnet50: {title}\n" in text
    assert lines_of(text, "focal")[0][1:] == [f"{value:.4f}" for value in expected]


def test_table_of_all_metrics_is_a_table_each():
    assert len(lines_of(table([make(13)], metrics=("all",)), "focal")) == len(METRICS)


def test_table_takes_other_views():
    text = table([make(13)], views=("balanced", "few"))
    assert lines_of(text, "Loss")[0] == ["Loss", "n=24", "n=16"]
    assert lines_of(text, "focal")[0] == ["focal", "54.17", "31.25"]


def test_table_refuses_a_view_that_no_run_has():
    with pytest.raises(SpecError, match=r"views: no run has a view called 'tial'\. There are: bal"):
        table([make(13)], views=("tial",))


def test_table_has_a_dash_for_a_view_without_images():
    text = table([make(13)], views=("balanced", "many"))
    assert lines_of(text, "Loss")[0] == ["Loss", "n=24", "n=0"]
    assert lines_of(text, "focal")[0] == ["focal", "54.17", "—"]


def test_table_heads_an_unbalanced_test_split_with_all():
    results = make(13, views={})
    test = replace(results.test, label=np.where(LABEL == 5, 4, LABEL).astype(np.int32))
    text = table([replace(results, test=test)])
    assert "All  Long-tailed" in text


def test_table_shows_the_interval_of_a_single_run():
    text = table([make(13)], interval=True, views=("balanced",))
    metrics = evaluate(make(13))["balanced"]
    assert f"54.17 [{100 * metrics.top1_low:.2f}, {100 * metrics.top1_high:.2f}]" in text
    assert "[ ] after top-1: 95 % interval of this trained model on other images, Wilson's" in text
    assert "[" not in table([make(12), make(13, seed=1)], interval=True)


def test_table_shows_seeds_with_their_number_and_sample_deviation():
    runs = [make(hits, seed=hits) for hits in (6, 12, 18)] + [make(24, "ldam")]
    text = table(runs)
    first = text.split("Mean ±")[0]
    assert lines_of(first, "focal")[0][:3] == ["focal", "3", "50.00±25.00~"]
    assert lines_of(first, "ldam")[0][:3] == ["ldam", "1", "100.00*"]
    assert "± of a run: sample std over its seeds (ddof 1)" in text
    assert "over 2 losses, seeds averaged first: top-1" in text


@pytest.mark.parametrize(
    ("more", "mark", "note"),
    [
        ({"selection": "test", "val_is_test": True}, "†", "the test images chose the epoch"),
        ({"verified": False}, "‡", "no checksum in the file"),
        ({"origin": "accuracies"}, "§", "published accuracies"),
    ],
)
def test_table_marks_what_a_reader_must_know_of_a_run(more, mark, note):
    text = table([make(13, **more), make(13, "ldam")])
    assert lines_of(text, "focal")[0][1] == mark
    assert lines_of(text, "ldam")[0][1] == "54.17*"
    assert f"\n{mark} {note}" in text
    assert mark not in table([make(13)])
    one_of_two_seeds = table([make(13, **more), make(13, seed=1)])
    assert lines_of(one_of_two_seeds, "focal")[0][1] == mark


def test_table_marks_runs_that_repeat_a_seed():
    text = table([make(6), make(12)])
    assert "focal ¶" in text
    assert "some runs have the same seeds" in text


def test_table_names_what_could_not_be_read(tmp_path):
    text = table([make(13), tmp_path / "missing.h5"])
    assert "Not in this report, 1 unreadable:\n" in text
    assert f"{tmp_path / 'missing.h5'}: no such file\n" in text


def test_table_of_nothing_says_so():
    assert table([]) == "No runs.\n"


def test_table_of_the_study_fits_a_terminal():
    backbones = ("resnet50", "mobilenet_v2", "convnext_base", "vit_b_16")
    losses = ("cross_entropy", "weighted_cross_entropy", "class_balanced", "balanced_softmax")
    runs = [
        make(20 - n - m, loss, b) for n, b in enumerate(backbones) for m, loss in enumerate(losses)
    ]
    assert max(map(len, table(runs).splitlines())) <= 100


HOSTILE = "\x1b[31m[red]evil[/red]\x07\r\nsecond\u202eline\x9b2J:smile:"


def test_no_name_can_steer_the_terminal(tmp_path):
    path = tmp_path / "a\x1b[2J.h5"
    loss = {"name": HOSTILE, "gamma": HOSTILE}
    runs = [make(6, loss, HOSTILE, name=HOSTILE), make(9, {"name": HOSTILE}), path]
    text = table(runs)
    assert {c for c in text if unicodedata.category(c).startswith("C")} == {"\n"}
    assert r"\x1b[31m[red]evil[/red]\x07\r\nsecond\u202eline\x9b2J:smile:" in text
    assert r"a\x1b[2J.h5: no such file" in text


def test_no_name_can_break_json():
    text = Json().render(compare([make(6, {"name": HOSTILE}, name=HOSTILE + '"}')]))
    assert text.isascii()
    assert {c for c in text if not c.isprintable()} == {"\n"}
    assert json.loads(text)["runs"][0]["name"] == HOSTILE + '"}'


@pytest.mark.parametrize(
    "surroundings",
    [
        {"PYTHONHASHSEED": "1"},
        {"PYTHONHASHSEED": "2", "LC_ALL": "de_DE.UTF-8", "TZ": "Asia/Tokyo"},
        {"LC_ALL": "C", "COLUMNS": "20", "TERM": "dumb"},
        {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "300"},
    ],
)
def test_reports_are_the_same_bytes_in_any_surroundings(tmp_path, surroundings):
    runs = [make(n, loss, b, seed=n) for n in (6, 9) for loss in ("focal", "ldam") for b in "vr"]
    paths = [write_results(run, tmp_path / f"{n}.h5") for n, run in enumerate(runs)]
    comparison = ltcore.report(paths, intervals=True, details=True)
    script = (
        "import sys\n"
        "import ltcore\n"
        "from ltcore.reporting.reporters import builtin_reporters\n"
        "comparison = ltcore.report(sys.argv[1:], intervals=True, details=True)\n"
        "for reporter in builtin_reporters().values():\n"
        "    sys.stdout.buffer.write(reporter().render(comparison).encode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, reversed(paths))],
        check=True,
        capture_output=True,
        env={**os.environ, **surroundings},
    )
    texts = [reporter().render(comparison) for reporter in builtin_reporters().values()]
    assert done.stdout.decode() == "".join(texts)


def test_parameters_are_checked():
    for wrong in ({"metrics": 3}, {"digits": -1}, {"unknown": 1}):
        with pytest.raises(ValueError, match=re.escape(next(iter(wrong)))):
            Table(**wrong)
