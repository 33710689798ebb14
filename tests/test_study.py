"""From results files to the comparison: the reference study, grouping, seeds, and bad files."""

from __future__ import annotations

import itertools
import json
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import ltcore
from ltcore import protocol
from ltcore.measures import METRICS
from ltcore.offline import evaluate
from ltcore.predictions import Predictions
from ltcore.reporting.intervals import newcombe_interval
from ltcore.reporting.reporters.html import Html
from ltcore.reporting.reporters.table import Table
from ltcore.reporting.study import compare
from ltcore.results import Results
from ltcore.results_files import read_results, write_results
from ltcore.spec import RunSpec
from ltcore.splits import Classes

THESIS = json.loads((Path(__file__).parent / "data" / "thesis_results.json").read_text())
VIEWS = tuple(THESIS["test_samples"])
BACKBONES = sorted({row["backbone"] for row in THESIS["rows"]})


@pytest.fixture(scope="module")
def thesis_files(tmp_path_factory):
    """Its 56 rows: the schema's least, no checksum, predictions that give each accuracy."""
    folder = tmp_path_factory.mktemp("thesis")
    label = np.repeat(np.arange(100), 50)
    ids = np.array([f"train/class_{c:02d}/{n:05d}.png" for n, c in enumerate(label)])
    long_tailed = protocol.profile_counts(100, 450, 0.01)
    rank = protocol.ranks(long_tailed)
    paths = []
    for row in THESIS["rows"]:
        balanced = row["train"] == "balanced"
        counts = np.full(100, 450) if balanced else long_tailed
        views = protocol.evaluation_views(
            label, ids, train_counts=counts, rank=rank, factor=0.01, seed=42
        )
        correct = correct_images(row, views)
        prediction = np.where(correct, label, (label + 1) % 100)
        spec = {
            "dataset": "cifar100" if balanced else "cifar100_lt",
            "backbone": row["backbone"],
            "loss": row["loss"],
        }
        path = folder / f"{row['train']}-{row['backbone']}-{row['loss']}.h5"
        with h5py.File(path, "w") as file:
            file.attrs.update(format="ltcore-results", schema_version=1, spec=json.dumps(spec))
            file.attrs["origin"] = "accuracies"
            file["classes/name"] = [f"class {index}" for index in range(100)]
            file["classes/count"] = counts
            file["classes/group"] = protocol.class_groups(rank)
            file["test/logits"] = np.eye(100, dtype=np.float32)[prediction]
            file["test/prediction"] = prediction.astype(np.int32)
            file["test/label"] = label.astype(np.int32)
            file["test/id"] = ids.tolist()
            for view in ("long_tailed", "head", "middle", "tail"):
                file[f"test/views/{view}"] = views[view]
        paths.append(path)
    return paths


def correct_images(row, views):
    """(5000,) bool, as many right in each view as the row's accuracies say."""
    correct = np.zeros(5000, dtype=bool)
    for view in ("head", "middle", "tail"):
        correct[views[view][: round(row[view] * len(views[view]))]] = True
    assert correct.sum() == round(row["long_tailed"] * len(views["long_tailed"]))
    others = np.setdiff1d(views["balanced"], views["long_tailed"])
    correct[others[: round(row["balanced"] * 5000) - correct.sum()]] = True
    return correct


@pytest.fixture(scope="module")
def thesis(thesis_files):
    return compare(thesis_files)


def test_all_280_accuracies_of_the_study_come_back(thesis):
    found = {(run.train, run.backbone, run.loss): run.metrics for run in thesis.runs}
    assert len(found) == 56
    assert not thesis.unreadable
    for row in THESIS["rows"]:
        metrics = found[row["train"], row["backbone"], row["loss"]]
        for view in VIEWS:
            assert metrics[view].n == THESIS["test_samples"][view]
            assert round(metrics[view].top1, 4) == row[view]


@pytest.mark.parametrize(("table", "group"), [("by_backbone", "backbone"), ("by_loss", "loss")])
@pytest.mark.parametrize("train", ["balanced", "long_tailed"])
def test_means_and_deviations_of_the_studys_tables_4_10_and_4_11(thesis, table, group, train):
    accuracies = defaultdict(list)
    for row in THESIS["rows"]:
        if row["train"] == train:
            for view in VIEWS:
                accuracies[row[group], view].append(row[view])
    records = thesis.to_dict()[table][train]
    assert set(records) == {name for name, _ in accuracies}
    for (name, view), values in accuracies.items():
        found = records[name][view]
        # The rows are rounded to four digits.
        assert found["mean"] == pytest.approx(statistics.fmean(values), abs=1e-4)
        assert found["std"] == pytest.approx(statistics.pstdev(values), abs=1e-4)
        assert found["runs"] == len(values) == (7 if group == "backbone" else 4)


def test_the_studys_tables_4_1_to_4_8_are_rendered(thesis):
    blocks = Table(interval=True).render(thesis).split("\n\n")
    tables = [block for block in blocks if re.match(r"\w+: top-1 in %; \*", block)]
    assert len(tables) == 8
    for row in THESIS["rows"]:
        table = tables[4 * (row["train"] == "long_tailed") + BACKBONES.index(row["backbone"])]
        (line,) = (line for line in table.splitlines() if line.startswith(f"{row['loss']} "))
        values = re.findall(r"(\d+\.\d\d) \[", line)
        assert values == [f"{100 * row[view]:.2f}" for view in VIEWS]


def test_nothing_of_the_study_is_paired(thesis):
    for setting in thesis.settings:
        assert setting.pairs == ()
        assert {gain.scope for gain in setting.gains} == {"unpaired"}
    (control,) = thesis.controls
    assert {difference.scope for difference in control.differences} == {"unpaired"}
    known = ("top1", "top1_low", "top1_high", "n")
    for run in thesis.runs:
        for metrics in run.metrics.values():
            record = metrics.to_record()
            assert all(value is None for name, value in record.items() if name not in known)


def test_differences_of_the_study_have_newcombes_interval(thesis):
    gain = next(
        gain
        for gain in thesis.settings[1].gains
        if (gain.backbone, gain.loss, gain.view) == ("resnet50", "balanced_softmax", "tail")
    )
    of = {row["loss"]: row["tail"] for row in THESIS["rows"] if row["table"] == "4.2"}
    shares = of["balanced_softmax"], of["cross_entropy"]
    expected = newcombe_interval(round(38 * shares[0]) / 38, 38, round(38 * shares[1]) / 38, 38)
    assert gain.interval == pytest.approx(expected)


def test_the_study_has_figures_in_the_shape_of_its_own(thesis_files):
    page = Html().render(ltcore.report(thesis_files, intervals=True, details=True))
    titles = re.findall(r"<h4[^>]*>(.*?)</h4>", page, re.DOTALL)
    for title in (
        "Accuracy by group and loss",
        "Accuracy by group and backbone, over losses",
        "Accuracy by group and loss, over backbones",
    ):
        assert sum(title in found for found in titles) >= 2, titles  # of each training set one
    for row in THESIS["rows"]:
        assert f"{100 * row['tail']:.2f} [" in page


def test_the_studys_two_training_sets_are_never_mixed(thesis):
    described = [(s.label, s.dataset, s.train, sum(s.class_counts)) for s in thesis.settings]
    assert described == [
        ("balanced", "cifar100", "balanced", 45_000),
        ("long_tailed", "cifar100_lt", "long_tailed", 9_754),
    ]


def test_a_report_does_not_depend_on_the_order_of_the_files(thesis_files):
    some = thesis_files[::5]
    other_order = sorted(some, key=lambda path: path.name[::-1])
    assert other_order != some
    assert json.dumps(compare(other_order).to_dict()) == json.dumps(compare(some).to_dict())


K = 6
LABEL = np.repeat(np.arange(K), 4)
LONG_TAILED = np.array([32, 16, 8, 4, 2, 1])


def make(
    loss="focal",
    backbone="resnet50",
    *,
    seed=42,
    dataset="digits_lt",
    counts=LONG_TAILED,
    ids="test/{}",
    draw=None,
    spec=None,
    **more,
):
    """A run on 24 images; what it predicts depends on its components, seed and draw."""
    spec = {"dataset": dataset, "backbone": backbone, "loss": loss, "seed": seed, **(spec or {})}
    entropy = [*repr((loss, backbone, seed, draw)).encode()]
    logits = np.random.default_rng(entropy).normal(size=(len(LABEL), K)).astype(np.float32)
    views = {"long_tailed": np.arange(0, 24, 2), "tail": np.arange(20, 24, 2)}
    names = np.array([ids.format(index) for index in range(len(LABEL))])
    return Results(
        spec=RunSpec.model_validate(spec, strict=False),
        name=f"{backbone}-{loss}-s{seed}" if isinstance(loss, str) else f"{backbone}-s{seed}",
        classes=Classes(tuple("abcdef"), np.asarray(counts), np.repeat([0, 1, 2], 2).astype("u1")),
        test=Predictions.from_logits(logits, LABEL, names, views),
        **more,
    )


def top1(results, view="balanced"):
    return evaluate(results)[view].top1


def labels(comparison):
    return [setting.label for setting in comparison.settings]


def test_one_run_is_reported_with_the_metrics_that_evaluate_gives():
    results = make()
    (run,) = compare([results]).runs
    assert dict(run.metrics) == evaluate(results)
    assert (run.name, run.dataset, run.backbone) == ("resnet50-focal-s42", "digits_lt", "resnet50")
    assert (run.loss, run.seed, run.train, run.path) == ("focal", 42, "long_tailed", None)


def test_a_file_gives_what_its_results_in_memory_give(tmp_path):
    results = make()
    path = write_results(results, tmp_path / "run.h5")
    (from_file,) = compare([path]).runs
    (in_memory,) = compare([results]).runs
    assert from_file == replace(in_memory, path=str(path), verified=True)


def test_seeds_are_averaged_before_losses():
    runs = [make("focal", seed=seed) for seed in (1, 2, 3)] + [make("ldam", seed=1)]
    comparison = compare(runs)
    (setting,) = comparison.settings
    focal = [top1(run) for run in runs[:3]]
    cell = setting.cells["resnet50", "focal"].means["balanced"]["top1"]
    assert cell.mean == pytest.approx(statistics.mean(focal), abs=1e-15)
    assert cell.std == pytest.approx(statistics.stdev(focal), abs=1e-15)
    assert (cell.values, cell.runs) == (3, 3)
    over_losses = setting.by_backbone["resnet50"]["balanced"]["top1"]
    of_losses = [statistics.mean(focal), top1(runs[3])]
    assert over_losses.mean == pytest.approx(statistics.mean(of_losses), abs=1e-15)
    assert over_losses.std == pytest.approx(statistics.pstdev(of_losses), abs=1e-15)
    assert (over_losses.values, over_losses.runs) == (2, 4)


def test_over_seeds_lists_the_cells_of_several_runs_with_every_metric():
    runs = [make("focal", seed=seed) for seed in (3, 1, 2)] + [make("ldam")]
    (record,) = compare(runs).to_dict()["over_seeds"]
    assert (record["backbone"], record["loss"], record["seeds"]) == ("resnet50", "focal", [1, 2, 3])
    assert set(record["metrics"]["tail"]) == set(METRICS)
    nll = [evaluate(run)["tail"].nll for run in runs[:3]]
    expected = {"mean": statistics.mean(nll), "std": statistics.stdev(nll), "runs": 3}
    assert record["metrics"]["tail"]["nll"] == pytest.approx(expected, abs=1e-12)


def test_a_seed_set_apart_is_a_seed_as_well():
    runs = [make(draw=draw, spec={"seeds": {"init": draw}}) for draw in (1, 2)]
    (cell,) = compare(runs).settings[0].cells.values()
    assert len(cell.runs) == 2
    assert not cell.repeats_seed


def test_two_runs_of_one_seed_are_known_to_repeat_it():
    (cell,) = compare([make(draw=1), make(draw=2)]).settings[0].cells.values()
    assert cell.repeats_seed


def test_a_loss_with_other_parameters_is_a_row_of_its_own():
    losses = [
        {"name": "focal", "gamma": 1.0, "drw": None},
        {"name": "focal", "gamma": 2, "drw": None},
        {"name": "focal", "gamma": 2.0, "drw": {"start_epoch": 160, "beta": 0.9999}},
        {"name": "ldam", "scale": 30.0},
    ]
    comparison = compare([make(loss) for loss in losses])
    assert [run.loss for run in comparison.runs] == [
        "focal(drw.beta=0.9999, drw.start_epoch=160, gamma=2)",
        "focal(gamma=1)",
        "focal(gamma=2)",
        "ldam",
    ]
    assert list(comparison.settings[0].by_loss) == [run.loss for run in comparison.runs]


def test_equal_parameters_are_one_row_however_they_are_written():
    written = [
        {"name": "focal", "gamma": 2, "drw": None},
        {"gamma": 2.0, "name": "focal"},
    ]
    comparison = compare([make(loss, seed=seed) for seed, loss in enumerate(written)])
    assert [run.loss for run in comparison.runs] == ["focal", "focal"]
    assert len(comparison.settings[0].cells) == 1


def test_a_backbone_with_other_parameters_is_a_backbone_of_its_own():
    backbones = [{"name": "resnet50", "weights": w} for w in ("IMAGENET1K_V1", "IMAGENET1K_V2")]
    comparison = compare([make(backbone=backbone) for backbone in backbones])
    assert list(comparison.settings[0].by_backbone) == [
        "resnet50(weights=IMAGENET1K_V1)",
        "resnet50(weights=IMAGENET1K_V2)",
    ]


@pytest.mark.parametrize(
    ("spec", "label"),
    [
        ({"training": {"epochs": 200}}, "training.epochs=200"),
        ({"transform": {"horizontal_flip": 0.0}}, "transform.horizontal_flip=0"),
        ({"backbone": {"name": "resnet50", "head": "cosine"}}, "backbone.head=cosine"),
    ],
)
def test_another_recipe_is_never_averaged_with_the_first(spec, label):
    comparison = compare([make("focal"), make("focal", spec=spec), make("ldam", spec=spec)])
    assert f"long_tailed({label})" in labels(comparison)
    assert sorted(len(setting.cells) for setting in comparison.settings) == [1, 2]
    for setting in comparison.settings:
        runs = setting.by_backbone["resnet50"]["balanced"]["top1"].runs
        assert runs == len(setting.cells)


def test_what_cannot_change_the_outcome_keeps_runs_together():
    runs = [
        make("focal", spec={"training": {"device": "cpu"}}, dataset={"name": "d", "root": "/a"}),
        make("ldam", spec={"training": {"device": "cuda"}}, dataset={"name": "d", "root": "/b"}),
    ]
    assert labels(compare(runs)) == ["long_tailed"]


@pytest.mark.parametrize(
    ("other", "label"),
    [
        ({"counts": LONG_TAILED * 2}, "digits_lt 32(images=*)"),
        ({"dataset": "letters_lt"}, "letters_lt 32"),
        ({"counts": np.array([9, 6, 3, 3, 2, 2])}, "digits_lt 4.5"),
        ({"counts": np.array([9, 6, 3, 3, 2, 0])}, "digits_lt inf"),
        (
            {"dataset": {"name": "digits_lt", "holdout_per_class": 0}},
            "digits_lt 32(dataset.holdout_per_class=0)",
        ),
        ({"spec": {"seeds": {"split": 7}}}, "digits_lt 32(dataset.split_seed=7)"),
        ({"ids": "other/{}"}, "digits_lt 32(images=*)"),
    ],
)
def test_several_training_sets_of_one_kind_are_named_and_told_apart(other, label):
    comparison = compare([make("focal"), make("focal", **other)])
    found = labels(comparison)
    assert len(found) == len(set(found)) == 2
    start, _, end = label.partition("*")
    assert any(one.startswith(start) and one.endswith(end) for one in found)


def test_one_training_set_of_each_kind_goes_by_its_kind():
    comparison = compare([make(), make(counts=np.full(K, 9), dataset="digits")])
    assert labels(comparison) == ["balanced", "long_tailed"]


def test_test_images_in_another_order_are_the_same_test_images():
    one, other = make("focal"), make("ldam")
    order = np.random.default_rng(0).permutation(24)
    position = np.argsort(order)
    test = other.test
    shuffled = Predictions.from_logits(
        test.logits[order],
        test.label[order],
        test.id[order],
        {view: np.sort(position[indices]) for view, indices in test.views.items()},
    )
    comparison = compare([one, replace(other, test=shuffled)])
    assert labels(comparison) == ["long_tailed"]
    assert comparison.runs[1].metrics["tail"].top1 == top1(other, "tail")


def test_a_missing_run_leaves_no_trace_in_a_mean_but_its_number():
    runs = [make(loss, backbone) for loss in ("focal", "ldam") for backbone in ("vit", "resnet50")]
    (setting,) = compare(runs[:-1]).settings
    assert ("resnet50", "ldam") not in setting.cells
    assert setting.by_backbone["resnet50"]["balanced"]["top1"].runs == 1
    assert setting.by_backbone["vit"]["balanced"]["top1"].runs == 2
    assert setting.by_loss["ldam"]["balanced"]["top1"].runs == 1


def test_losses_and_backbones_come_in_alphabetical_order_whatever_is_missing():
    (setting,) = compare([make("ldam", "a"), make("focal", "b"), make("ldam", "b")]).settings
    assert list(setting.by_backbone) == ["a", "b"]
    assert list(setting.by_loss) == ["focal", "ldam"]


def test_a_view_without_images_has_null_means():
    record = compare([make()]).to_dict()["by_loss"]["long_tailed"]["focal"]["head"]
    assert record == {"mean": None, "std": None, "runs": 0}


def test_published_accuracies_enter_no_mean_but_that_of_top1():
    runs = [make("focal"), make("ldam", origin="accuracies")]
    comparison = compare(runs)
    assert [run.published for run in comparison.runs] == [False, True]
    means = comparison.settings[0].by_backbone["resnet50"]["balanced"]
    assert (means["top1"].values, means["ece"].values) == (2, 1)


@pytest.mark.parametrize(
    ("selection", "val_is_test", "chosen_on_test"),
    [
        ("val", False, False),
        ("last", True, False),
        ("test", True, True),
        ("val", True, True),
        (None, False, False),
    ],
)
def test_an_epoch_chosen_on_the_test_images_is_known(selection, val_is_test, chosen_on_test):
    results = make(selection=selection, val_is_test=val_is_test)
    assert compare([results]).runs[0].chosen_on_test is chosen_on_test


def test_a_path_given_twice_counts_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_results(make(), tmp_path / "run.h5")
    spellings = [path, "run.h5", "./run.h5", read_results(path)]
    for order in itertools.permutations(spellings):
        (run,) = compare(order).runs
        assert run.path == min("run.h5", str(path))


def test_two_files_of_one_name_are_two_runs(tmp_path):
    paths = [write_results(make(seed=seed), tmp_path / f"{seed}.h5") for seed in (1, 2)]
    results = [replace(read_results(path), name="twin") for path in paths]
    assert [run.name for run in compare(results).runs] == ["twin", "twin"]


def test_unreadable_files_are_named_and_the_others_reported(tmp_path):
    good = write_results(make(), tmp_path / "good.h5")
    damaged = write_results(make("ldam"), tmp_path / "damaged.h5")
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    missing, text = tmp_path / "missing.h5", tmp_path / "text.h5"
    text.write_text("no results")
    comparison = compare([text, good, missing, damaged])
    assert [run.path for run in comparison.runs] == [str(good)]
    assert list(comparison.unreadable) == [str(damaged), str(missing), str(text)]
    messages = [str(error) for error in comparison.unreadable.values()]
    assert all(str(path) in m for path, m in zip((damaged, missing, text), messages, strict=True))
    assert "damaged" in messages[0]
    assert "no such file" in messages[1]


def test_a_logit_that_is_no_number_makes_a_run_unreadable(tmp_path):
    path = write_results(make(), tmp_path / "run.h5")
    logits = make().test.logits.copy()
    logits[0] = np.nan
    wrong = Predictions.from_logits(logits, LABEL, make().test.id)
    comparison = compare([replace(make(), test=wrong, path=path), replace(make(), test=wrong)])
    assert not comparison.runs
    assert [str(error) for error in comparison.unreadable.values()] == [
        f"{path}: a test logit is NaN or infinite",
        "resnet50-focal-s42: a test logit is NaN or infinite",
    ]


def test_no_files_are_an_empty_comparison():
    record = compare([]).to_dict()
    assert record["runs"] == record["over_seeds"] == record["pairs"] == []
    assert record["by_backbone"] == record["by_loss"] == record["unreadable"] == {}
    assert compare([]).to_records() == []


def test_a_report_imports_neither_torch_nor_a_plugin(tmp_path):
    path = write_results(make(), tmp_path / "run.h5")
    script = (
        "import sys\n"
        "from ltcore.reporting.study import compare\n"
        "from ltcore.reporting.reporters import builtin_reporters\n"
        f"comparison = compare([{str(path)!r}])\n"
        "rich_before = 'rich' in sys.modules\n"
        "for reporter in builtin_reporters().values():\n"
        "    reporter().render(comparison)\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(rich_before, sorted(loaded & {'torch', 'torchvision', 'timm', 'click', 'pluggy',"
        " 'scipy', 'sklearn', 'ltcore_losses', 'ltcore_backbones', 'ltcore_datasets'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("False []\n", "")
