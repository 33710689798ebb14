"""The CSV report: one row a run and view, to the last bit, and nothing that a spreadsheet runs."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pandas as pd

import ltcore
from ltcore.reporting.reporters.csv import Csv
from ltcore.testing.comparisons import hostile_comparison, plain_comparison


def rows_of(comparison):
    return list(csv.DictReader(io.StringIO(Csv().render(comparison))))


def test_csv_has_every_record_to_the_last_bit():
    comparison = plain_comparison()
    records, rows = comparison.to_records(), rows_of(comparison)
    assert len(rows) == len(records) > 0
    for row, record in zip(rows, records, strict=True):
        assert list(row) == list(record)
        for key, value in record.items():
            if value is None:
                assert row[key] == ""
            elif isinstance(value, float):
                assert float(row[key]) == value
            else:
                assert row[key] == str(value)


def test_csv_is_what_pandas_reads():
    comparison = plain_comparison()
    text = io.StringIO(Csv().render(comparison))
    frame = pd.read_csv(text, converters={"top1": float})  # pandas 2 rounds by itself
    ours = comparison.to_pandas()
    assert list(frame) == list(ours)
    assert frame["top1"].tolist() == ours["top1"].tolist()


def test_csv_text_is_no_formula():
    for row in rows_of(hostile_comparison()):
        assert not any(value.startswith(("=", "+", "@")) for value in row.values())


def test_csv_says_what_was_chosen():
    comparison = plain_comparison()
    adjusted = ltcore.comparison.Adjustment("+LA(val)", tau=(0.5, 1.0))
    run = replace(comparison.runs[0], adjustment=adjusted)
    assert Csv.suffix == ".csv"
    assert run.to_record()["tau"] == (0.5, 1.0)


def test_csv_of_nothing_is_its_headings():
    assert Csv().render(ltcore.report([])) == "setting,name,view\n"
