"""Published accuracies: those of ltcore, a file of the user's, and which go with a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

import ltcore
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.intervals import newcombe_interval
from ltcore.reporting.published import against, published_rows
from ltcore.reporting.reference import (
    Reference,
    ReferenceRow,
    load_reference,
    reference_names,
)
from ltcore.reporting.reporters.table import Table
from ltcore.reporting.study import compare
from tests.report_runs import run_of

THESIS = json.loads((Path(__file__).parent / "data" / "thesis_results.json").read_text())
VIEWS = ("balanced", "long_tailed", "head", "middle", "tail")

ROW = {
    "dataset": "cifar100_lt",
    "train": "long_tailed",
    "imbalance_ratio": 100,
    "backbone": "resnet32",
    "loss": "focal",
    "top1": {"balanced": 0.4},
}
MINE = {"name": "mine", "title": "Mine", "source": "a paper", "rows": [ROW]}


@pytest.fixture(scope="module")
def study() -> Reference:
    return load_reference("study")


@pytest.fixture(scope="module")
def literature() -> Reference:
    return load_reference("literature")


@pytest.fixture
def written(tmp_path):
    """The path of a file with this document."""

    def written(document: object, name: str = "mine.json") -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(document))
        return path

    return written


def refusal(name) -> str:
    with pytest.raises(ltcore.SpecError) as caught:
        load_reference(name)
    return str(caught.value)


def rows_of(reference: Reference, loss: str, **changes) -> tuple[ReferenceRow, ...]:
    """Published rows of a run on CIFAR-100-LT at ratio 100 with ResNet-32."""
    run = {
        "dataset": "cifar100_lt",
        "train": "long_tailed",
        "imbalance_ratio": 100,
        "backbone": "resnet32",
        "view": "balanced",
    }
    return published_rows(reference, loss=loss, **(run | changes))


def percent(rows: tuple[ReferenceRow, ...]) -> list[float]:
    return [round(100 * row.top1["balanced"], 4) for row in rows]


# What comes with ltcore.


def test_references_are_found_by_name():
    assert reference_names() == ("literature", "study")
    for name in reference_names():
        assert load_reference(name).name == name


def test_the_studys_accuracies_are_the_thesis_own(study):
    published = {
        (row.table, row.backbone, row.train, row.loss): dict(row.top1) for row in study.rows
    }
    thesis = {
        (row["table"], row["backbone"], row["train"], row["loss"]): {v: row[v] for v in VIEWS}
        for row in THESIS["rows"]
    }
    assert sum(map(len, thesis.values())) == 280
    assert published == thesis
    assert len(study.rows) == len(THESIS["rows"])
    assert study.images == THESIS["test_samples"]
    assert study.source == THESIS["source"]


def test_the_studys_accuracies_are_whole_numbers_of_images(study):
    """And head, middle and tail add up to the long-tailed view: so the numbers of images hold."""
    for row in study.rows:
        right = {view: round(row.top1[view] * n) for view, n in study.images.items()}
        assert {v: round(right[v] / n, 4) for v, n in study.images.items()} == dict(row.top1)
        assert right["head"] + right["middle"] + right["tail"] == right["long_tailed"]


def test_the_study_has_its_benchmarks(study):
    assert [(item.backbone, item.top1) for item in study.benchmarks] == [
        ("resnet50", 0.869),
        ("mobilenet_v2", 0.732),
        ("vit_b_16", 0.9351),
        ("vit_b_16", 0.9395),
        ("convnext_base", 0.9404),
    ]


@pytest.mark.parametrize("name", reference_names())
def test_rows_name_losses_and_parameters_that_ltcore_has(name):
    catalogue = ltcore.load_plugins()
    for row in load_reference(name).rows:
        if row.loss is not None:
            drw = {"drw": {"start_epoch": 160}} if row.drw else {}
            catalogue.find("loss", row.loss).component(**row.parameters, **drw)


@pytest.mark.parametrize("name", reference_names())
def test_rows_name_data_sets_that_ltcore_has(name):
    known = {offer.name for offer in ltcore.load_plugins().of_kind("dataset")}
    assert {row.dataset for row in load_reference(name).rows} <= known


@pytest.mark.parametrize("name", reference_names())
def test_no_row_is_there_twice(name):
    rows = [row.model_dump_json() for row in load_reference(name).rows]
    assert len(set(rows)) == len(rows)


def test_every_recipe_has_a_row(literature):
    assert {row.recipe for row in literature.rows} - {None} == set(literature.recipes)


@pytest.mark.parametrize(
    ("dataset", "loss", "changes", "recipe", "expected"),
    [
        ("cifar100_lt", "cross_entropy", {}, "R1", [38.32, 37.73, 38.50]),
        ("cifar100_lt", "cross_entropy", {"imbalance_ratio": 50}, "R1", [43.85, 43.78]),
        ("cifar100_lt", "cross_entropy", {"imbalance_ratio": 10}, "R1", [55.71]),
        ("cifar100_lt", "cross_entropy", {}, "R3", [39.87, 38.36]),
        ("cifar100_lt", "cross_entropy", {}, "R4", [45.3]),
        ("cifar100_lt", "cross_entropy", {"backbone": "resnet18"}, "R18", [40.60]),
        (
            "cifar100_lt",
            "cross_entropy",
            {"parameters": {"drw": {"start_epoch": 160}}},
            "R1",
            [41.62, 41.51, 39.21],
        ),
        ("cifar100_lt", "cross_entropy", {"logit_adjustment": 1.0}, "R3", [41.76, 44.07]),
        ("cifar100_lt", "weighted_cross_entropy", {}, "R1", [32.27]),
        ("cifar100_lt", "class_balanced", {}, "R1", [33.99, 38.97]),
        ("cifar100_lt", "class_balanced", {"imbalance_ratio": 10}, "R2", [57.99]),
        ("cifar100_lt", "balanced_softmax", {}, "R1", [42.99]),
        ("cifar100_lt", "balanced_softmax", {}, "R3", [43.89, 44.06]),
        ("cifar100_lt", "equalization", {}, "R1", [40.49]),
        ("cifar100_lt", "equalization", {}, "R4", [47.4]),
        ("cifar100_lt", "ldam", {}, "R1", [39.60, 38.88]),
        (
            "cifar100_lt",
            "ldam",
            {"parameters": {"drw": {"start_epoch": 160}}},
            "R1",
            [42.04, 42.47],
        ),
        ("cifar10_lt", "cross_entropy", {}, "R1", [70.36, 71.95, 73.17]),
        ("cifar10_lt", "weighted_cross_entropy", {"imbalance_ratio": 50}, "R1", [76.80]),
        ("cifar10_lt", "ldam", {"parameters": {"drw": {"start_epoch": 160}}}, "R1", [77.03, 77.73]),
        ("cifar10_lt", "balanced_softmax", {"imbalance_ratio": 50}, "R1", [81.11]),
        ("cifar10_lt", "cross_entropy", {"logit_adjustment": 1.0}, "R3", [77.40, 77.32]),
    ],
)
def test_the_literature_says_what_the_papers_say(
    literature, dataset, loss, changes, recipe, expected
):
    rows = rows_of(literature, loss, dataset=dataset, **changes)
    assert percent(tuple(row for row in rows if row.recipe == recipe)) == expected


def test_three_seeds_keep_their_deviation(literature):
    (row,) = (row for row in rows_of(literature, "cross_entropy") if row.seeds == 3)
    assert (row.std, row.evidence, row.recipe) == ({"balanced": 0.003}, "read", "R1")


# A file of the user's.


def test_a_file_is_a_reference(written):
    reference = load_reference(written(MINE))
    assert reference == Reference.model_validate(MINE)
    assert percent(reference.rows) == [40.0]


def test_a_name_goes_before_a_file(written, monkeypatch, tmp_path):
    written(MINE, name="study")
    monkeypatch.chdir(tmp_path)
    assert load_reference("study").name == "study"
    assert load_reference("./study").name == "mine"


def test_an_unknown_name_has_a_near_one():
    assert refusal("x" * 5000).startswith("no reference is called 'xxx")
    assert refusal("studdy") == (
        "no reference is called 'studdy', and no file. Did you mean 'study'? "
        "There are: literature, study; or give the path of a JSON file"
    )


def test_all_mistakes_of_a_file_are_told(written):
    rows = [
        ROW | {"top1": {"balanced": 38.32}},
        ROW | {"train": "longtailed", "imbalance_ratio": 0.01},
        {key: value for key, value in ROW.items() if key != "dataset"} | {"losss": "ldam"},
        ROW | {"top1": {}, "std": {}},
    ]
    path = written({**MINE, "images": {"tail": 0}, "rows": rows})
    assert refusal(path).splitlines() == [
        f"{path}: images.tail: must be at least 1, is 0",
        f"{path}: rows.0.top1.balanced: must be at most 1, is 38.32",
        (
            f"{path}: rows.1.train: must be 'balanced' or 'long_tailed', is \"longtailed\". "
            "Did you mean 'long_tailed'?"
        ),
        f"{path}: rows.1.imbalance_ratio: must be at least 1, is 0.01",
        f"{path}: rows.2.dataset: required, and missing",
        (
            f"{path}: rows.2.losss: unknown field. Did you mean 'loss'? Known here: "
            f"{', '.join(ReferenceRow.model_fields)}"
        ),
        f"{path}: rows.3: top1 has no view",
    ]


def test_a_row_without_a_loss_needs_a_label(written):
    path = written(MINE | {"rows": [ROW | {"loss": None}]})
    assert refusal(path) == (
        f"{path}: rows.0: a row without a loss needs a label, the name of its method"
    )
    assert load_reference(written(MINE | {"rows": [ROW | {"loss": None, "label": "cRT"}]}))


def test_a_deviation_needs_its_accuracy(written):
    path = written(MINE | {"rows": [ROW | {"std": {"tail": 0.01}}]})
    assert refusal(path) == f'{path}: rows.0: std has "tail", and top1 has no such view'


def test_every_recipe_that_is_missing_is_told(written):
    rows = [ROW | {"recipe": "RR1"}, ROW, ROW | {"recipe": "x"}]
    path = written(MINE | {"recipes": {"RR2": "short"}, "rows": rows})
    assert refusal(path).splitlines() == [
        f"{path}: rows.0.recipe: no recipe is called 'RR1'. Did you mean 'RR2'?",
        "  rows.2.recipe: no recipe is called 'x'.",
    ]


def test_a_reference_is_frozen(study):
    with pytest.raises(ValidationError, match="frozen"):
        study.name = "mine"


# What goes with a run.


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"imbalance_ratio": 1 / 0.01}, [40.0]),
        ({"imbalance_ratio": 100.0000001}, [40.0]),
        ({"imbalance_ratio": 112.5}, []),
        ({"imbalance_ratio": None}, []),
        ({"dataset": "cifar10_lt"}, []),
        ({"train": "balanced"}, []),
        ({"backbone": "resnet50"}, []),
        ({"loss": "ldam"}, []),
        ({"view": "tail"}, []),
        ({"parameters": {"gamma": 2.0}}, [40.0]),
        ({"parameters": {"gamma": 1.0}}, []),
        ({"parameters": {"drw": None}}, [40.0]),
        ({"parameters": {"drw": {"start_epoch": 160}}}, []),
        ({"logit_adjustment": 1.0}, []),
    ],
)
def test_rows_go_with_runs_that_are_alike(changes, expected):
    rows = [ROW | {"parameters": {"gamma": 2}}]
    reference = Reference.model_validate(MINE | {"rows": rows})
    assert percent(rows_of(reference, **{"loss": "focal", **changes})) == expected


def test_a_row_without_a_ratio_goes_with_all():
    row = {key: value for key, value in ROW.items() if key != "imbalance_ratio"}
    reference = Reference.model_validate(MINE | {"rows": [row]})
    for ratio in (None, 1.0, 100.0):
        assert len(rows_of(reference, "focal", imbalance_ratio=ratio)) == 1


@pytest.mark.parametrize(
    ("dataset", "train", "ratio", "table"),
    [("cifar100", "balanced", None, "4.1"), ("cifar100_lt", "long_tailed", 100.0, "4.2")],
)
def test_the_study_has_one_row_for_each_run(study, dataset, train, ratio, table):
    (row,) = rows_of(
        study,
        "ldam",
        dataset=dataset,
        train=train,
        imbalance_ratio=ratio,
        backbone="resnet50",
        view="tail",
    )
    assert row.table == table


def test_another_ratio_is_not_the_studys(study):
    assert rows_of(study, "ldam", backbone="resnet50", imbalance_ratio=10.0) == ()


# How far apart.


def test_against_is_ours_minus_the_published(study):
    (row,) = rows_of(study, "balanced_softmax", backbone="resnet50", view="tail")
    found = against(22 / 38, 38, study, row, "tail")
    assert found.difference == pytest.approx(22 / 38 - 0.6053)
    assert found.interval == newcombe_interval(22 / 38, 38, 0.6053, 38)
    assert (found.reference, found.source, found.recipe) == ("study", THESIS["source"], "study")
    assert (found.published, found.published_n, found.separable) == (0.6053, 38, False)


def test_against_names_the_rows_own_source(literature):
    row = rows_of(literature, "ldam")[0]
    found = against(0.3, 5000, literature, row, "balanced")
    assert found.source.startswith("Cao et al.: Learning Imbalanced Datasets")
    assert (found.recipe, found.remembered, found.published_n) == ("R1", True, 10_000)
    assert found.separable


def test_against_has_no_interval_where_the_images_are_not_known(literature):
    row = rows_of(literature, "cross_entropy", view="few")[0]
    found = against(0.2, 3000, literature, row, "few")
    assert found.difference == pytest.approx(0.2 - 0.106)
    assert (found.published_n, found.interval, found.separable) == (None, None, None)


@pytest.mark.parametrize("factor", [0, True, "much", [1], {"a": 1}])
def test_what_a_strangers_spec_calls_an_imbalance_factor_breaks_no_comparison(factor):
    spec = {"dataset": {"name": "cifar100_lt", "imbalance_factor": factor}}
    run = run_of("cross_entropy", "resnet32", spec=spec)
    assert compare([run], Analysis(references=("literature",))).published == ()


def test_a_reference_that_goes_with_no_run_is_told():
    comparison = compare([run_of()], Analysis(references=("study",)))
    assert comparison.warnings == ("no published accuracy of 'study' goes with these runs",)


def test_the_source_of_a_published_accuracy_stays_on_its_line(written):
    path = written({**MINE, "source": "a\nb\x1b[2J"})
    spec = {"dataset": {"name": "cifar100_lt", "imbalance_factor": 0.01}}
    run = run_of("focal", "resnet32", spec=spec, views={})
    text = Table().render(compare([run], Analysis(references=(path,))))
    assert r"a\nb\x1b[2J" in text
