"""The page on the study holds what its generator gives, and says what the numbers say."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ltcore.reporting.intervals import newcombe_interval

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "study.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("study_tables", DOCS / "study_tables.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[spec.name]


def test_the_page_is_what_the_generator_gives(tables):
    assert tables.renewed(PAGE) == PAGE, "run: python docs/study_tables.py"


def test_a_changed_number_is_put_right(tables):
    assert "23 of 38" in PAGE
    assert tables.renewed(PAGE.replace("23 of 38", "24 of 38")) == PAGE


def test_a_page_without_a_place_for_a_table_is_refused(tables):
    with pytest.raises(ValueError, match=r"study.md has places for \['best-tail'.*'benchmarks'"):
        tables.renewed(PAGE.replace("<!-- begin wins -->", ""))


def test_the_two_best_tails_are_one_image_apart_and_not_separable(tables):
    low, high = newcombe_interval(23 / 38, 38, 22 / 38, 38)
    assert low < 0 < high
    assert f"+2.6 [{100 * low:+.1f}, {100 * high:+.1f}]" in tables.best_tail()


def test_a_separable_difference_is_bold_and_no_other(tables):
    """Balanced softmax gains 15 of ResNet-50's 38 tail images, focal 4."""
    row = {loss: tables.ROWS["long_tailed", "resnet50", loss] for loss in tables.LOSSES}
    gained = tables.difference(row["balanced_softmax"], row["cross_entropy"], "tail")
    assert gained.value == pytest.approx(15 / 38)
    assert str(gained).startswith("**+39.5 [")
    assert str(tables.difference(row["focal"], row["cross_entropy"], "tail")).startswith("+10.5 [")


def test_every_comparison_with_cross_entropy_is_counted_once(tables):
    line = re.compile(r"^\| ([\w-]+) \| [\d,]* \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)
    counts = line.findall(PAGE)
    by_view = {view: (int(a), int(b), int(c)) for view, a, b, c in counts}
    assert sum(by_view.pop("all")) == 120
    assert {view: sum(of) for view, of in by_view.items()} == dict.fromkeys(
        ("balanced", "long-tailed", "head", "middle", "tail"), 24
    )


def test_what_the_text_says_of_gains_holds(tables):
    """Only balanced softmax gains: on all backbones on balanced, on two in the tail."""
    gains = [
        (loss, view)
        for loss in tables.LOSSES
        for backbone in tables.BACKBONES
        for view in tables.VIEWS
        for found in [
            tables.difference(
                tables.ROWS["long_tailed", backbone, loss],
                tables.ROWS["long_tailed", backbone, "cross_entropy"],
                view,
            )
        ]
        if found.separable and found.value > 0
    ]
    assert (
        sorted(gains) == [("balanced_softmax", "balanced")] * 4 + [("balanced_softmax", "tail")] * 2
    )


def test_the_noise_is_not_separable(tables):
    assert re.search(
        r"balanced softmax, equalization \| balanced \| 0\.45 \| .* 0 of 8", tables.noise()
    )
