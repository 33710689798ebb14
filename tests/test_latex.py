"""The LaTeX report: a document that a real LaTeX compiles, whatever the names in it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import pytest

import ltcore
from ltcore.reporting.reporters.latex import Latex
from ltcore.reporting.study import compare
from ltcore.testing.comparisons import comparison_with_gaps, hostile_comparison, plain_comparison
from tests.report_runs import run_of

COMPARISONS = {
    "plain": plain_comparison,
    "gaps": comparison_with_gaps,
    "hostile": hostile_comparison,
    "nothing": lambda: ltcore.report([]),
}


def compiled(text, folder):
    """The words of the compiled document, as a reader of it sees them."""
    latex, reader = shutil.which("pdflatex"), shutil.which("pdftotext")
    if latex is None or reader is None:
        packages = "texlive-latex-recommended lmodern poppler-utils"
        pytest.fail(f"needs pdflatex and pdftotext: apt-get install {packages}")
    (folder / "report.tex").write_text(text, encoding="utf-8")
    options = ("-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape")
    done = subprocess.run(
        [latex, *options, "report.tex"], cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-3000:]
    words = subprocess.run(
        [reader, "-layout", "report.pdf", "-"], cwd=folder, capture_output=True, check=True
    )
    return words.stdout.decode()


@pytest.mark.parametrize("name", COMPARISONS)
def test_latex_report_compiles(tmp_path, name):
    text = Latex(interval=True, pairs=True).render(COMPARISONS[name]())
    compiled(text, tmp_path)
    if name != "hostile":
        assert "Overfull" not in (tmp_path / "report.log").read_text(errors="replace")


def test_latex_report_shows_every_run_and_bold_bests(tmp_path):
    comparison = plain_comparison()
    text = Latex(digits=1).render(comparison)
    words = compiled(text, tmp_path)
    for run in comparison.runs:
        assert run.loss in words
        assert run.backbone in words
    cells = comparison.settings[0].cells.values()
    best = max(cell.means["balanced"]["top1"].mean for cell in cells)
    assert rf"\textbf{{{100 * best:.1f}" in text
    assert f"{100 * best:.1f}" in words


def test_latex_shows_a_minus_sign_and_no_hyphen_before_a_number():
    runs = [run_of("cross_entropy", skill=1.5), run_of("focal", skill=0.2)]
    text = Latex(pairs=True).render(compare(runs))
    assert re.search(r"& \\ensuremath\{-\}\d", text)
    assert not re.search(r"& -\d", text)


def test_latex_tables_use_booktabs_and_scale_when_wide():
    text = Latex().render(plain_comparison())
    assert r"\usepackage{booktabs}" in text
    assert text.count(r"\toprule") == text.count(r"\begin{tabular}") == text.count(r"\bottomrule")
    assert r"\resizebox{\textwidth}{!}" in text
    assert r"\resizebox" not in re.sub(
        r"(?s)\\documentclass.*?\\begin\{document\}",
        "",
        Latex(views=("balanced", "tail")).render(plain_comparison()),
    )


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        (r"\input{/etc/passwd}", r"\input{/etc/passwd}"),
        ("50%_of $x^2$ & #1 ~ <a> [b]", "50%_of $x^2$ & #1"),
        ("größer", "größer"),
        ("日本", "[U+65E5][U+672C]"),
        ("two\nlines\x00", r"two lines\x00"),
    ],
)
def test_latex_prints_names_as_they_are(tmp_path, name, printed):
    comparison = plain_comparison()
    named = replace(comparison, warnings=(name,))
    assert printed in " ".join(compiled(Latex().render(named), tmp_path).split())
