"""What the README says exists and works: its commands, files, code blocks, names and codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import ltcore
from ltcore.cli import COMMANDS, cli
from ltcore.resolution import resolve

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def test_readme_specs_are_one_and_the_same():
    catalogue = ltcore.load_plugins()
    resolved = [resolve(json.loads(text), catalogue) for text in blocks("json")]
    assert len(resolved) == 2
    assert resolved[0].spec == resolved[1].spec


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.json")), ids=lambda p: p.name)
def test_example_specs_resolve(path):
    resolve(json.loads(path.read_text()), ltcore.load_plugins())
    assert path.name in README


def test_readme_python_runs(tmp_path):
    for text in blocks("python"):
        subprocess.run([sys.executable, "-c", text], cwd=tmp_path, check=True, capture_output=True)


def test_example_embedding_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "embed.py"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "tail images right" in done.stdout
    assert done.stderr == ""


def test_readme_console_blocks_show_what_is_printed():
    for text in blocks("console"):
        command, *shown = text.strip().splitlines()
        arguments = command.removeprefix("$ ltcore ").split()
        done = subprocess.run(
            [sys.executable, "-m", "ltcore", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        for line in shown:
            assert line in done.stdout + done.stderr


def test_readme_names_every_command_and_no_other():
    assert set(re.findall(r"^\| `ltcore (\w[\w-]*)", README, re.MULTILINE)) == set(COMMANDS)


def test_readme_flags_exist():
    context = click.Context(cli)
    known = {option for name in COMMANDS for option in _options(cli.get_command(context, name))}
    known |= set(_options(cli)) | {"--out"}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) <= known


def _options(command: click.Command) -> list[str]:
    return [option for parameter in command.params for option in parameter.opts]


def test_readme_names_every_component():
    catalogue = ltcore.load_plugins()
    for kind in ("dataset", "backbone", "loss"):
        shipped = (
            o for o in catalogue.of_kind(kind) if o.source.distribution.startswith("ltcore-")
        )
        for offer in shipped:
            assert f"`{offer.name}`" in README


def test_readme_exit_codes_are_those_of_the_errors():
    table = README.split("## Exit codes")[1].split("##")[0]
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    errors = {getattr(ltcore, name) for name in ltcore.__all__ if name.endswith("Error")}
    assert codes == {error.exit_code for error in errors} | {0, 130}


def test_readme_paths_exist():
    for path in re.findall(r"`((?:examples|ltcore|plugins|docs)/[\w./-]*)`", README):
        assert (ROOT / path).exists(), path


def test_readme_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_ci_runs_the_test_command_of_the_readme():
    assert "make test" in README
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
