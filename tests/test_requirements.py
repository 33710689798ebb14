"""The lowest versions that the packages ask for are those that the tests can be run with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECTS = [
    ROOT,
    *sorted((ROOT / "plugins").iterdir()),
    ROOT / "examples" / "ltcore_logit_adjusted",
]


def lowest(project):
    """(name, lowest version) of each distribution that a project needs."""
    content = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = content.get("optional-dependencies", {}).values()
    for requirement in [*content["dependencies"], *(each for extra in extras for each in extra)]:
        name, version = re.fullmatch(r"([\w-]+)>=([\d.]+)(?:,<[\d.]+)?", requirement).groups()
        if not name.startswith("ltcore"):
            yield name, version


def test_packages_ask_for_the_versions_that_are_tested():
    asked = {pair for project in PROJECTS for pair in lowest(project)}
    listed = (ROOT / "tests" / "lowest-versions.txt").read_text(encoding="utf-8")
    above, _, _ = listed.partition("\n\n")
    tested = re.findall(r"^([\w-]+)==([\d.]+?)(?:\.\*)?$", above, re.MULTILINE)
    assert sorted(asked) == tested
