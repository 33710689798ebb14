"""The rules of what every component declares: a name, a text and parameters, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, TypeVar

from pydantic import ValidationError

from ltcore.components import Component
from ltcore.hookspecs import PROJECT
from ltcore.offers import problem_of
from ltcore.plugins import KINDS
from ltcore.testing.conformance import BrokenRuleError, ConformanceError, NotApplicableError

Kind = TypeVar("Kind", bound=Component)

_TORCH_IS_IN = 3
_IMPORT = f"""
import importlib, json, sys
sys.path[:], *modules = json.loads(sys.argv[1])
for module in modules:
    importlib.import_module(module)
sys.exit({_TORCH_IS_IN} if "torch" in sys.modules else 0)
"""


def instance_of(component: object, kind: type[Kind]) -> Kind:
    """The component itself, or one with the default parameters where a class is given.

    Raises:
        ConformanceError: it is no component of this kind, or a parameter has no default.
    """
    if isinstance(component, kind):
        return component
    if not (isinstance(component, type) and issubclass(component, kind)):
        raise ConformanceError(
            f"{component!r} is neither a subclass of ltcore.{kind.__name__} nor an instance of one"
        )
    try:
        return component()
    except (ValidationError, TypeError) as error:
        raise ConformanceError(
            f"{component.__name__} cannot be made without arguments; pass an instance with the "
            f"parameters to check.\n{error}"
        ) from error


def label_of(component: Component) -> str:
    """What is checked, for the messages."""
    parameters = ", ".join(f"{key}={value!r}" for key, value in component)
    return f"the {component.kind} {type(component).__name__}({parameters})"


def is_accepted_as_a_plugin(component: Component) -> None:
    """The class is one that ltcore takes from a plugin: its name and what else it declares."""
    base, _ = KINDS[component.kind]
    problem = problem_of(type(component), component.kind, base)
    if problem:
        raise BrokenRuleError(problem)


def documents_itself(component: Component) -> None:
    """The class has a docstring, and each parameter a description: its help."""
    definition = type(component)
    if not (definition.__dict__.get("__doc__") or "").strip():
        raise BrokenRuleError(f"{definition.__name__} has no docstring")
    silent = [name for name, field in definition.model_fields.items() if not field.description]
    if silent:
        raise BrokenRuleError(f"no description of {', '.join(silent)}")


def refuses_unknown_parameters(component: Component) -> None:
    """A misspelt parameter is refused, not ignored."""
    misspelt = {**_as_json(component), "no_such_parameter": 1}
    try:
        type(component).model_validate_json(json.dumps(misspelt))
    except ValidationError:
        return
    raise BrokenRuleError("the parameter 'no_such_parameter' was taken")


def is_frozen(component: Component) -> None:
    """The parameters cannot be changed: what was validated and stored is what runs."""
    if not type(component).model_config.get("frozen"):
        raise BrokenRuleError("model_config turns frozen off")


def parameters_survive_json(component: Component) -> None:
    """Written to JSON and read again, the component equals itself: specs and results hold it so."""
    again = type(component).model_validate_json(json.dumps(_as_json(component)))
    if again != component:
        raise BrokenRuleError(f"{component!r} came back as {again!r}")


def declaring_imports_no_torch(component: Component) -> None:
    """Loading the plugin imports no torch, for every command loads it; ``build`` imports it."""
    module = type(component).__module__
    package = module.partition(".")[0]
    declared = {entry.module for entry in entry_points(group=PROJECT)}
    loaded = sorted(name for name in declared if name.partition(".")[0] == package)
    if not loaded:
        raise NotApplicableError  # not what ltcore loads: a component of a test or a script
    problem = _import_afresh((*loaded, module), tuple(sys.path))
    if problem:
        raise BrokenRuleError(problem)


@lru_cache  # a plugin's components share their modules
def _import_afresh(modules: tuple[str, ...], path: tuple[str, ...]) -> str | None:
    """What is wrong with importing modules in a process of their own."""
    command = [sys.executable, "-c", _IMPORT, json.dumps([path, *modules])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode == _TORCH_IS_IN:
        return f"importing {', '.join(dict.fromkeys(modules))} brings in torch"
    if done.returncode:
        cause = done.stderr.strip().rpartition("\n")[2]
        return f"importing {', '.join(dict.fromkeys(modules))} in a fresh process failed: {cause}"
    return None


def _as_json(component: Component) -> dict[str, Any]:
    return component.model_dump(mode="json", by_alias=True)


DECLARATION = (
    is_accepted_as_a_plugin,
    documents_itself,
    refuses_unknown_parameters,
    is_frozen,
    parameters_survive_json,
    declaring_imports_no_torch,
)
