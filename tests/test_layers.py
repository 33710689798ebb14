"""Imports point one way, heavy packages stay where they belong, and files keep their form."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import ltcore

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = ("ltcore_datasets", "ltcore_backbones", "ltcore_losses")

# From the top: a module imports what stands in its own line or below.
LAYERS = (
    {"__main__", "api", "offline", "cli"},
    {"running", "sweeps", "testing"},
    {"plugins", "offers", "resolution", "outcome", "listeners", "schema"},
    {"reporting"},
    {"hookspecs", "results_files", "hdf5", "heaps", "publishing", "consistency"},
    {
        "spec",
        "components",
        "comparison",
        "measures",
        "differences",
        "records",
        "splits",
        "protocol",
        "progress",
        "documents",
        "mistakes",
        "predictions",
        "results",
        "launching",
        "locking",
        "ranks",
        "stopping",
    },
    {"errors"},
)
LEVEL = {module: level for level, modules in enumerate(reversed(LAYERS)) for module in modules}

# Where a package may be imported: the beginnings of module names. An import in a function counts.
HOMES = {
    "torch": (
        "ltcore.running.",
        "ltcore.testing",
        "ltcore.cli.tensorboard",  # torch brings the writer of TensorBoard's files
        *PLUGINS,
    ),
    "torchvision": ("ltcore_backbones", "ltcore_datasets"),
    "timm": ("ltcore_backbones",),
    "click": ("ltcore.cli",),
    "rich": ("ltcore.cli", "ltcore.reporting.reporters"),
    "matplotlib": ("ltcore.reporting.reporters.html",),
    "jinja2": ("ltcore.reporting.reporters.html",),
    "pandas": ("ltcore.comparison",),
    "filelock": ("ltcore.locking",),
    "safetensors": ("ltcore.running.checkpoints", "ltcore_backbones"),
    "h5py": ("ltcore.results_files", "ltcore.hdf5"),
    "pluggy": ("ltcore.hookspecs", "ltcore.plugins"),
}
LATE = ("torch", "torchvision", "timm")  # these take seconds, and light commands do without
LATE_IN = ("ltcore.running.start", "ltcore.running", "ltcore.cli.tensorboard", *PLUGINS)


@dataclass(frozen=True)
class Import:
    """One import of one name.

    Attributes:
        target: the module, dotted; for ``from ltcore import x`` also x.
        late: whether it stands in a function.
        typing: whether it stands under ``if TYPE_CHECKING``.
    """

    target: str
    late: bool
    typing: bool


@dataclass(frozen=True)
class Module:
    """One file of a package.

    Attributes:
        name: dotted; of a package's ``__init__.py`` the package's.
    """

    name: str
    path: Path
    tree: ast.Module

    def imports(self) -> Iterator[Import]:
        yield from _imports(self.tree, late=False, typing=False)


def _imports(node: ast.AST, *, late: bool, typing: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, late, typing)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        for alias in node.names:
            inner = f"{node.module}.{alias.name}" if node.module == "ltcore" else node.module
            yield Import(str(inner), late, typing)
    elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        for child in node.body:
            yield from _imports(child, late=late, typing=True)
        for child in node.orelse:
            yield from _imports(child, late=late, typing=typing)
    else:
        inside = late or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, late=inside, typing=typing)


def modules_of(folder: Path) -> list[Module]:
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path, ast.parse(path.read_text(encoding="utf-8"))))
    return found


CORE = modules_of(ROOT / "ltcore")
PLUGIN_MODULES = [m for plugin in PLUGINS for m in modules_of(ROOT / "plugins" / plugin / plugin)]
ALL = CORE + PLUGIN_MODULES


def within(name: str, home: str) -> bool:
    return name == home or name.startswith(home if home.endswith(".") else f"{home}.")


def test_the_walk_sees_the_packages():
    names = {module.name for module in ALL}
    assert {"ltcore", "ltcore.spec", "ltcore.running.engine", "ltcore_losses"} <= names
    imports = {item.target for module in ALL for item in module.imports()}
    assert {"torch", "timm", "h5py", "click", "pluggy", "ltcore.errors"} <= imports


def test_every_module_has_its_layer():
    top = {module.name.split(".")[1] for module in CORE if "." in module.name}
    assert top - set(LEVEL) == set(), "say in LAYERS where it stands"


def test_imports_point_down():
    wrong = [
        f"{module.name} imports {item.target}"
        for module in CORE
        if module.name != "ltcore"  # it hands out names of all layers, each when it is used
        for item in module.imports()
        if item.target.startswith("ltcore.") and not item.typing
        if LEVEL[item.target.split(".")[1]] > LEVEL[module.name.split(".")[1]]
    ]
    assert wrong == []


def test_the_core_imports_no_plugin():
    wrong = [
        f"{module.name} imports {item.target}"
        for module in CORE
        for item in module.imports()
        if any(within(item.target, plugin) for plugin in PLUGINS)
    ]
    assert wrong == []


def test_plugins_import_no_other_plugin():
    wrong = [
        f"{module.name} imports {item.target}"
        for module in PLUGIN_MODULES
        for item in module.imports()
        for plugin in PLUGINS
        if within(item.target, plugin) and not within(module.name, plugin)
    ]
    assert wrong == []


def test_plugins_use_public_names_alone():
    public = set(ltcore.__all__) | {"__version__"}
    used = [
        (module.name, item.target.split(".")[1])
        for module in PLUGIN_MODULES
        for item in module.imports()
        if item.target.startswith("ltcore.")
    ]
    used += [
        (module.name, node.attr)
        for module in PLUGIN_MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "ltcore"
    ]
    assert used
    assert [(module, name) for module, name in used if name not in public] == []


@pytest.mark.parametrize("package", HOMES)
def test_a_package_is_imported_in_its_home_alone(package):
    wrong = [
        module.name
        for module in ALL
        for item in module.imports()
        if within(item.target, package) and not item.typing
        if not any(within(module.name, home) for home in HOMES[package])
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "module", [m for m in CORE if m.name in LATE_IN], ids=lambda module: module.name
)
def test_the_light_parts_import_torch_late(module):
    early = [item.target for item in module.imports() if not item.late and not item.typing]
    assert [name for name in early if name.partition(".")[0] in LATE] == []


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_that_is_imported_brings_in_no_torch(plugin):
    """Follow the early imports from the entry point through the plugin's own modules."""
    by_name = {module.name: module for module in PLUGIN_MODULES}
    to_see, seen = [plugin], set()
    while to_see:
        name = to_see.pop()
        if name in seen or name not in by_name:
            continue
        seen.add(name)
        early = [i.target for i in by_name[name].imports() if not i.late and not i.typing]
        heavy = [target for target in early if target.partition(".")[0] in LATE]
        assert heavy == [], f"{name} imports {heavy} when {plugin} is imported"
        to_see += early
    assert plugin in seen


def test_modules_of_a_layer_do_not_import_each_other_in_circles():
    graph = {
        module.name: {
            item.target if item.target in names else item.target.rpartition(".")[0]
            for item in module.imports()
            if not item.late and not item.typing and item.target.startswith("ltcore.")
        }
        & names
        for names in [{module.name for module in CORE}]
        for module in CORE
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("module", ALL, ids=lambda module: module.name)
def test_a_module_keeps_its_form(module):
    text = module.path.read_text(encoding="utf-8")
    assert ast.get_docstring(module.tree), "a module says what it is responsible for"
    assert not [n for n in ast.walk(module.tree) if isinstance(n, ast.Assert)], "assert validates"
    assert len(text.splitlines()) <= 300, "split the file"
    assert module.path.stem not in {"utils", "util", "common", "helpers", "misc"}, "name it"
    assert "TODO" not in text
