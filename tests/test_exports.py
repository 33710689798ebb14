"""The public names: all there, documented, and free of charge until they are used."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import ltcore


def test_all_is_sorted_and_has_no_name_twice():
    assert ltcore.__all__ == sorted(set(ltcore.__all__))


@pytest.mark.parametrize("name", ltcore.__all__)
def test_a_public_name_is_there_and_documented(name):
    value = getattr(ltcore, name)
    assert (value.__doc__ or "").strip()


@pytest.mark.parametrize("name", ltcore.__all__)
def test_a_public_name_is_that_of_its_module(name):
    module = ltcore._MODULE_OF[name]
    if module == "ltcore":
        assert getattr(ltcore, name) is importlib.import_module(f"ltcore.{name}")
    else:
        assert getattr(ltcore, name) is getattr(importlib.import_module(module), name)


def test_what_type_checkers_see_is_what_there_is():
    tree = ast.parse(Path(ltcore.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == ltcore._MODULE_OF
    assert sorted(seen) == ltcore.__all__


def test_dir_lists_the_public_names():
    assert set(ltcore.__all__) <= set(dir(ltcore))


def test_the_version_is_the_distribution_s():
    from importlib.metadata import version

    assert ltcore.__version__ == version("ltcore")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'ltcore' has no attribute 'fokal'"):
        _ = ltcore.fokal


def modules_after(program: str) -> set[str]:
    program += "\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_import_brings_in_nothing_heavy():
    heavy = {"torch", "numpy", "pydantic", "pluggy", "h5py", "click", "PIL"}
    assert not modules_after("import ltcore; dir(ltcore); ltcore.__version__") & heavy


def test_declaring_a_component_brings_in_no_torch():
    program = """
import ltcore
class Mine(ltcore.Loss):
    name = "mine"
    tau: float = ltcore.Field(default=1.0, ge=0)
    def build(self, classes): ...
@ltcore.hookimpl
def ltcore_register_losses(): return [Mine]
"""
    assert "torch" not in modules_after(program)


def test_a_run_spec_and_the_catalogue_bring_in_no_torch():
    program = """
import ltcore
ltcore.load_plugins()
ltcore.RunSpec(dataset="cifar100_lt", backbone="resnet50", loss="focal")
"""
    assert not modules_after(program) & {"torch", "torchvision", "timm"}
