"""What docs/report.md says exists and works: its flags, metrics, code and reference file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import ltcore
from ltcore.cli import main
from ltcore.cli.report import command
from ltcore.measures import METRICS
from ltcore.reporting.reference import load_reference
from ltcore.reporting.reporters import RESERVED_NAMES
from ltcore.testing.comparisons import plain_comparison

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "report.md").read_text()


def blocks(language):
    found = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def test_report_page_names_every_option_and_no_other():
    options = {option for parameter in command.params for option in parameter.opts}
    long = {option for option in options if option.startswith("--")} - {"--output", "--prior"}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT)) >= long - {"--help"}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT)) <= options


def test_report_page_names_every_metric_and_format():
    rows = re.findall(r"^\| (`[a-z0-9_`, ]+) \|", TEXT, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert named == list(METRICS)
    for name in RESERVED_NAMES:
        assert f"`{name}`" in TEXT


def test_report_page_commands_run(tmp_path, monkeypatch, capfd):
    runs = plain_comparison_files(tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    for line in blocks("bash")[0].splitlines():
        words = line.split("#")[0].split()[1:]
        arguments = [path for word in words for path in (runs if "*" in word else [word])]
        assert main(arguments) == 0, (line, capfd.readouterr().err)
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert r"\toprule" in (tmp_path / "tables.tex").read_text()


def plain_comparison_files(folder):
    from ltcore.testing import comparisons

    views = {"balanced": comparisons._LABELS.argsort(kind="stable")}
    paths = []
    for loss in ("cross_entropy", "focal"):
        results = comparisons._results("resnet", loss, 0, views, val=None, val_is_test=True)
        paths.append(str(ltcore.write_results(results, folder / f"{loss}.h5")))
    assert plain_comparison().runs
    return paths


def test_report_page_python_runs(tmp_path):
    for text in blocks("python"):
        subprocess.run(
            [sys.executable, "-W", "error", "-c", text],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )


def test_report_page_reference_loads(tmp_path):
    (text,) = blocks("json")
    path = tmp_path / "my.json"
    path.write_text(text)
    reference = load_reference(str(path))
    assert reference.name == json.loads(text)["name"]
    assert reference.rows[0].top1 == {"balanced": 0.383}
