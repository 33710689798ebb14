"""The HTML report as a text: every number, what is left out, and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
from html import unescape

import numpy as np
import pytest

from ltcore.comparison import Comparison
from ltcore.errors import SpecError, SurroundingsError
from ltcore.predictions import Predictions
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.reporters.html import Html, run_tables
from ltcore.reporting.study import compare
from ltcore.results import Results
from ltcore.results_files import write_results
from ltcore.spec import RunSpec
from ltcore.splits import Classes
from ltcore.testing import check_reporter

LABEL = np.repeat(np.arange(6), 4)
IDS = np.array([f"test/{index}" for index in range(24)])
VIEWS = {
    "head": np.arange(8),
    "middle": np.arange(8, 16),
    "tail": np.arange(16, 24),
    "few": np.arange(0),
}


def make(hits=13, loss="focal", backbone="resnet50", *, seed=42, **more):
    """A run that is right on the first ``hits`` of 24 images; all others are taken for 0."""
    prediction = np.where(np.arange(24) < hits, LABEL, 0)
    return Results(
        spec=RunSpec(dataset="digits", backbone=backbone, loss=loss, seed=seed),
        name=f"{backbone}-{loss}-s{seed}",
        classes=Classes(
            tuple("abcdef"), np.array([32, 16, 8, 4, 2, 1]), np.repeat([0, 1, 2], 2).astype("u1")
        ),
        test=Predictions.from_logits(
            9 * np.eye(6, dtype=np.float32)[prediction], LABEL, IDS, VIEWS
        ),
        **{"verified": True, **more},
    )


def html(*runs, details=True, **parameters):
    return Html(**parameters).render(compare(runs, Analysis(details=details)))


@pytest.fixture(scope="module")
def page_of_one():
    return html(make(13))


@pytest.fixture(scope="module")
def pair():
    """Two losses of one backbone."""
    return compare([make(13), make(22, "ldam")], Analysis(details=True))


@pytest.fixture(scope="module")
def page_of_two(pair):
    return Html().render(pair)


def plain(text):
    """What is shown, without markup."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_it_keeps_the_rules_of_reporters():
    # Its name is one that plugins are refused.
    assert check_reporter(Html, skip={"is_accepted_as_a_plugin"})


def test_it_is_a_component_that_wants_details():
    assert (Html.name, Html.suffix, Html.wants_details) == ("html", ".html", True)
    assert Html().interval


def test_tables_hold_the_numbers_of_the_other_reports(pair, page_of_two):
    page = plain(page_of_two)
    sections = tuple(Html().layout(pair).sections(pair))
    values = [v.text for s in sections for t in s.tables for row in t.rows for v in row.values]
    assert "54.17 [35.07, 72.11]" in values
    assert [value for value in values if value not in page] == []
    assert [s.title for s in sections if s.title not in page] == []
    assert [note for s in sections for note in s.notes if note not in page] == []


def test_the_best_is_marked_with_a_sign_as_well(page_of_two):
    best = r'<td class="best"[^>]*>91\.67 \[[^\]]+\]<span class="mark">\*</span></td>'
    assert re.search(best, page_of_two)
    assert "* best of 2, on this split" in plain(page_of_two)


def test_what_is_not_separable_and_what_differs_has_its_mark(page_of_two):
    assert re.search(r'<td [^>]*>[^<]+<span class="mark">~</span></td>', page_of_two)
    other = Html(interval=False).render(compare([make(2, "cross_entropy"), make(24)]))
    assert re.search(r'<td [^>]*>\+100\.00<span class="mark">°</span></td>', other)


def test_columns_of_words_stand_to_the_left_and_those_of_numbers_do_not():
    page = html(make(13), make(22, "ldam"), details=False, pairs=True)
    (table,) = re.findall(
        r"<table[^>]*>(?:(?!</table>).)*these two trained models.*?</table>", page, re.DOTALL
    )
    headings = re.findall(r'<th scope="col"( class="text")?>([^<]+)</th>', table)
    assert [title for left, title in headings if left] == ["Models", "View"]
    (row, *_) = re.findall(r"<tr><th scope=\"row\">.*?</tr>", table, re.DOTALL)
    assert re.findall(r"<td( class=\"text\")?", row)[:3] == [' class="text"', "", ""]


def test_options_are_those_of_tables():
    page = html(make(13), details=False, digits=4, metrics=("ece",), views=("head",))
    assert "ECE in %, lower is better" in page
    assert re.search(r">\d+\.\d{4}<", page)
    with pytest.raises(SpecError, match="views: no run has a view called 'tial'"):
        html(make(13), views=("tial",))


def test_one_run_and_no_run_are_pages(page_of_one):
    assert "<h1>ltcore report: 1 run</h1>" in page_of_one
    empty = Html().render(Comparison((), ()))
    assert "<h1>ltcore report: 0 runs</h1>" in empty
    assert "No runs." in empty


def test_what_could_not_be_read_is_named(tmp_path):
    page = html(make(), tmp_path / "missing.h5", details=False)
    assert "1 unreadable" in plain(page)
    assert f"{tmp_path / 'missing.h5'}: no such file" in page


def test_warnings_are_shown():
    comparison = Comparison((), (), warnings=("a <warning>",))
    assert "<li>a &lt;warning&gt;</li>" in Html().render(comparison)


def test_a_run_shows_its_spec_facts_epochs_and_confusions():
    history = {"epoch": np.arange(2), "val_top1": np.array([0.25, 0.5])}
    facts = {"best_epoch": 1, "environment": {"torch": "2.11"}, "parameters": 123}
    page = html(make(21, history=history, **facts))
    shown = plain(page)
    assert "long_tailed: resnet50, focal, seed 42" in shown
    assert '"name": "focal"' in shown
    assert "environment.torch 2.11" in shown
    assert "parameters 123" in shown
    assert "Epoch val_top1 0 0.25 1 ← 0.5" in shown
    assert "Class Taken for Images Share in % f a 3 75.0" in shown
    assert "The 1 most frequent confusions of tail classes" in shown


def test_at_most_ten_confusions_of_tail_classes_alone_are_listed():
    page = plain(html(make(0)))
    assert "Taken for Images Share in % e a 4 100.0 f a 4 100.0" in page


NOTES = {
    "The test images chose the epoch.": {"selection": "test", "val_is_test": True},
    "No checksum in the file: its content is not verified.": {"verified": False},
    "Published accuracies: the predictions were made up": {"origin": "accuracies"},
}


def test_a_run_says_what_a_reader_must_know(page_of_one):
    runs = [make(seed=seed, **more) for seed, more in enumerate(NOTES.values())]
    details = html(*runs).split("<details>")[1:]
    for part, note in zip(details, NOTES, strict=True):
        assert [other for other in NOTES if other in part] == [note]
        assert note not in page_of_one


def test_published_accuracies_show_no_confusions():
    assert "most frequent confusions" not in html(make(origin="accuracies"))


def test_without_details_there_are_tables_and_accuracies_alone():
    page = html(make(13), make(22, "ldam"), details=False)
    assert "Accuracy by group and loss" in page
    assert "Single runs" not in page
    assert "Reliability" not in page


def test_of_a_great_many_runs_the_first_are_detailed_and_it_is_said(monkeypatch):
    assert run_tables.MOST_RUNS == 200
    monkeypatch.setattr(run_tables, "MOST_RUNS", 3)
    page = html(*(make(seed=seed) for seed in range(5)))
    assert page.count("<details>") == 3
    assert "2 further runs are in the tables alone." in page


def test_nothing_of_the_page_is_from_elsewhere(page_of_two):
    page = page_of_two
    assert "://" not in page
    assert not re.search(r"<(iframe|object|embed|form|base|img|video|audio)\b", page)
    assert re.findall(r'<link [^>]*href="([^"]*)"', page) == ["data:,"]
    assert not re.search(r'\s(style|on\w+)="', page)
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", page)


def test_the_policy_names_the_digests_of_style_and_script(page_of_one):
    page = page_of_one
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1].replace("&#39;", "'")
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert directives["default-src"] == "'none'"
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (inside,) = re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert directives[directive] == f"'sha256-{digest}'"
    assert "unsafe" not in policy


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_missing_package_is_told_with_the_mend(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SurroundingsError) as caught:
        Html().render(Comparison((), ()))
    assert str(caught.value).startswith(f"html: the report needs {package}, which cannot be")
    assert str(caught.value).endswith("Install it: pip install 'ltcore[html]'")


def test_importing_the_reporter_imports_nothing_that_draws():
    script = (
        "import sys, ltcore.reporting.reporters.html\n"
        "print([name for name in ('jinja2', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


def test_the_page_is_the_same_in_any_surroundings(tmp_path):
    runs = [make(n, loss, verified=True) for n, loss in ((6, "focal"), (9, "ldam"))]
    paths = [write_results(run, tmp_path / f"{n}.h5") for n, run in enumerate(runs)]
    (tmp_path / "matplotlibrc").write_text("font.size: 30\naxes.linewidth: 9\n")
    script = (
        "import sys\n"
        "from ltcore.reporting.analysis import Analysis\n"
        "from ltcore.reporting.reporters.html import Html\n"
        "from ltcore.reporting.study import compare\n"
        "page = Html().render(compare(sys.argv[1:], Analysis(details=True)))\n"
        "sys.stdout.buffer.write(page.encode())\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)\n"  # its state is the whole process's
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, reversed(paths))],
        check=True,
        capture_output=True,
        env={
            **os.environ,
            "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"),
            "MPLBACKEND": "pdf",
            "PYTHONHASHSEED": "7",
            "LC_ALL": "C",
            "TZ": "Asia/Tokyo",
        },
    )
    assert done.stdout.decode() == html(*paths)
    assert done.stderr == b""
