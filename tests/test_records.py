"""A comparison as JSON, rows and a data frame; and that nothing of a file is kept or ordered."""

from __future__ import annotations

import itertools
import json
import math
import weakref
from dataclasses import replace

import numpy as np
import pytest

from ltcore.measures import METRICS
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.reporters.json import Json
from ltcore.reporting.study import compare
from ltcore.results_files import write_results
from tests.report_runs import Offered, run_of, shuffled, with_test

EVERYTHING = Analysis(
    metrics=(*METRICS, "offered"),
    offered=(Offered(gives=lambda logits: float(logits.mean(dtype=float))),),
    intervals=True,
    pairs="all",
    thresholds=(100, 20),
    priors=("tail", "uniform"),
    sweep_tau=True,
    temperature=True,
    references=("study",),
)


def all_kinds():
    """Runs of both settings, three seeds, cross-fitted, published, and with an empty view."""
    balanced = {"counts": np.full(6, 9), "dataset": "digits"}
    return [
        *(run_of(loss, seed=seed) for loss in ("cross_entropy", "focal") for seed in (1, 2, 3)),
        run_of("ldam", val=False, val_is_test=True),
        run_of("lade", origin="accuracies"),
        run_of("cross_entropy", **balanced),
        run_of("focal", trained_prior="uniform", **balanced),
    ]


@pytest.fixture(scope="module")
def comparison():
    return compare(all_kinds(), EVERYTHING)


def as_text(comparison):
    return json.dumps(comparison.to_dict(), allow_nan=False)


def test_json_holds_no_nan_and_nothing_that_it_cannot_hold(comparison):
    record = json.loads(as_text(comparison))
    assert set(record) == {
        *("runs", "by_backbone", "by_loss", "over_seeds", "pairs", "gains", "controls"),
        *("published", "ensemble", "warnings", "unreadable"),
    }
    filled = ("runs", "over_seeds", "pairs", "gains", "controls", "warnings")
    assert all(record[name] for name in filled)
    assert record["ensemble"] is None


def test_json_of_an_ensemble_names_its_members_files(tmp_path):
    paths = [write_results(run_of(loss), tmp_path / f"{loss}.h5") for loss in ("focal", "ldam")]
    analysis = Analysis(ensemble=True, intervals=True)
    ensemble = json.loads(as_text(compare(paths, analysis)))["ensemble"]
    assert ensemble["members"] == [str(path) for path in paths]
    assert ensemble["best"] in ensemble["members"]
    assert ensemble["metrics"]["tail"]["n"] == 10
    assert {"difference", "low", "high", "p", "only_first"} < set(ensemble["gains"][0])


def test_json_of_a_pair_names_its_setting_seed_and_interval(comparison):
    record = comparison.to_dict()["pairs"][0]
    (pair, *_) = next(setting.pairs for setting in comparison.settings if setting.pairs)
    assert record["setting"] == comparison.settings[0].label
    assert record["seed"] == pair.seeds.init
    assert (record["low"], record["high"]) == pair.interval
    assert (record["first"], record["second"]) == (pair.first, pair.second)


def test_json_of_gains_and_controls_says_what_their_intervals_are_about(comparison):
    record = comparison.to_dict()
    assert {gain["scope"] for gain in record["gains"]} == {"seeds", "models", "unpaired", None}
    control = record["controls"][0]
    assert (control["setting"], control["against"]) == ("long_tailed", "balanced")
    unknown = next(gain for gain in record["gains"] if gain["scope"] is None)
    assert unknown["low"] is unknown["high"] is None


def test_json_says_how_logits_were_adjusted(comparison):
    runs = comparison.to_dict()["runs"]
    chosen = {
        run["loss"]: (len(run["tau"]), len(run["temperature"])) for run in runs if "tau" in run
    }
    assert chosen["focal +LA(val)+T(val)"] == (1, 1)
    assert chosen["ldam +LA(val)+T(val)"] == (2, 2)


def test_each_run_and_view_has_one_flat_row_with_the_same_keys(comparison):
    rows = comparison.to_records()
    assert len(rows) == sum(len(run.metrics) for run in comparison.runs)
    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    assert {"setting", "loss", "seed", "path", "view", "n", *METRICS, "offered"} <= set(rows[0])
    assert {"nll_low", "nll_high", "tau", "temperature"} <= set(rows[0])
    for value in itertools.chain.from_iterable(row.values() for row in rows):
        assert value is None or isinstance(value, str | int | float | tuple)
        assert not isinstance(value, float) or math.isfinite(value)


def test_a_row_holds_the_numbers_of_its_run_and_view(comparison):
    rows = {
        (row["setting"], row["loss"], row["seed"], row["view"]): row
        for row in comparison.to_records()
    }
    for setting in comparison.settings:
        for cell in setting.cells.values():
            for run in cell.runs:
                for view, metrics in run.metrics.items():
                    row = rows[setting.label, run.loss, run.seed, view]
                    assert row["nll"] == metrics.nll
                    assert (row["top1_low"], row["top1_high"]) == (
                        metrics.top1_low,
                        metrics.top1_high,
                    )
                    assert row["offered"] == metrics.value("offered")


def test_a_data_frame_holds_the_rows(comparison):
    frame, rows = comparison.to_pandas(), comparison.to_records()
    assert list(frame.columns) == list(rows[0])
    assert len(frame) == len(rows)
    found = frame.astype(object).where(frame.notna(), None).to_dict("records")
    assert found == rows
    assert frame["nll"].dtype == np.float64
    whole = frame[(frame["view"] == "balanced") & (frame["setting"] == "long_tailed")]
    assert whole["n"].eq(120).all()


def test_without_runs_the_data_frame_is_empty():
    assert compare([]).to_records() == []
    assert compare([]).to_pandas().empty


@pytest.mark.parametrize("seed", range(2))
def test_every_digit_is_the_same_for_runs_and_images_in_any_order(comparison, seed):
    runs = all_kinds()
    order = np.random.default_rng(seed).permutation(len(runs))
    others = [shuffled(runs[index], int(index)) for index in order]
    assert as_text(compare(others, EVERYTHING)) == as_text(comparison)


def test_every_digit_is_the_same_from_files_as_from_memory(tmp_path):
    runs = [run_of("cross_entropy"), run_of("ldam", val=False, val_is_test=True)]
    paths = [write_results(run, tmp_path / f"{run.name}.h5") for run in runs]
    analysis = replace(EVERYTHING, ensemble=True)
    text = as_text(compare(paths[::-1], analysis))
    for path in paths:
        text = text.replace(json.dumps(str(path)), "null").replace(str(path), path.stem)
    in_memory = json.loads(as_text(compare(runs, analysis)))
    members = in_memory["ensemble"]["members"]
    in_memory["ensemble"]["members"] = [None] * len(members)
    assert json.loads(text) == in_memory


@pytest.mark.parametrize("analysis", [Analysis(), EVERYTHING, replace(EVERYTHING, details=True)])
def test_no_results_are_kept(analysis):
    kept = []

    def sources():
        for seed in range(4):
            results = run_of(seed=seed)
            kept.append(weakref.ref(results))
            kept.append(weakref.ref(results.test.logits))
            kept.append(weakref.ref(results.val.logits))
            yield results
            del results
            assert sum(ref() is not None for ref in kept) <= 3, "a run is let go before the next"

    comparison = compare(sources(), analysis)
    assert [ref() for ref in kept] == [None] * 12
    assert len(comparison.runs) >= 4


def test_a_run_that_cannot_be_read_leaves_the_numbers_of_the_others(tmp_path):
    runs = [run_of("cross_entropy"), run_of("focal")]
    logits = runs[1].test.logits.copy()
    logits[3, 3] = np.nan
    broken = replace(with_test(run_of("ldam"), logits=logits), path=tmp_path / "broken.h5")
    record = compare([broken, *runs], EVERYTHING).to_dict()
    unreadable = record.pop("unreadable")
    expected = compare(runs, EVERYTHING).to_dict()
    del expected["unreadable"]
    assert record == expected
    assert unreadable == {
        str(tmp_path / "broken.h5"): f"{tmp_path / 'broken.h5'}: a test logit is NaN or infinite"
    }


def test_json_written_part_by_part_is_json_of_the_whole(comparison):
    for each in (comparison, compare([])):
        whole = json.dumps(each.to_dict(), indent=2, allow_nan=False)
        assert Json().render(each) == f"{whole}\n"
