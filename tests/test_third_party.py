"""Strangers' plugins, installed from real wheels: a sound one works, and bad ones harm nobody else.

One environment holds ltcore, its own plugins, the example plugin and five bad ones; everything
else comes from the environment that runs the tests.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
EXAMPLE = REPOSITORY / "examples" / "ltcore_logit_adjusted"
SOURCES = [
    REPOSITORY,
    *(REPOSITORY / "plugins" / f"ltcore_{kind}" for kind in ("backbones", "datasets", "losses")),
    EXAMPLE,
]
SPEC = {
    "dataset": {
        "name": "synthetic",
        "classes": 3,
        "per_class": 12,
        "imbalance_factor": 0.25,
        "val_per_class": 2,
        "test_per_class": 4,
    },
    "backbone": "resnet32",
    "loss": {"name": "logit_adjusted", "tau": 0.5},
    "training": {"epochs": 1, "batch_size": 8, "device": "cpu"},
}

SEVERAL_COMMANDS = """
import contextlib, io, json, sys
from ltcore.cli import main
answers = []
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as messages:
        with contextlib.redirect_stdout(io.StringIO()):
            code = main(command)
    answers.append((code, messages.getvalue()))
print(json.dumps(answers))
"""

LOSS = '''
class {title}(ltcore.Loss):
    """A loss of a test."""

    name = "{name}"

    def build(self, classes):
        import torch

        class Criterion(torch.nn.Module):
            def forward(self, logits, labels):
                value = torch.nn.functional.cross_entropy(logits, labels)
                return {value}

        return Criterion()
'''


def losses(**values: str) -> str:
    """A plugin's module that offers losses: name -> what the criterion returns."""
    classes = [LOSS.format(title=name.title(), name=name, value=v) for name, v in values.items()]
    offered = ", ".join(name.title() for name in values)
    hook = f"@ltcore.hookimpl\ndef ltcore_register_losses():\n    return [{offered}]\n"
    return "\n".join(["import ltcore", *classes, hook])


NONSENSE = {
    "gives_none": ("None", "a NoneType"),
    "gives_values": ("value.repeat(8)", "a tensor of shape (8,)"),
    "gives_detached": ("value.detach()", "a value without gradient"),
    "gives_complex": ("value * 1j", "a tensor of torch.complex64"),
}
BAD = {
    ("ltcore-fails-to-import", "0.3"): "import a_module_that_nobody_has\n",
    ("ltcore-hook-raises", "1.2"): """
import ltcore

@ltcore.hookimpl
def ltcore_register_losses():
    raise RuntimeError("out of order")
""",
    ("ltcore-misspells", "2.0"): """
import ltcore

@ltcore.hookimpl
def ltcore_register_loses():
    return []
""",
    ("ltcore-other-focal", "1.1"): losses(focal="value"),
    ("ltcore-nonsense", "0.1"): losses(**{name: value for name, (value, _) in NONSENSE.items()})
    + """
import os
import pathlib

print("hello from a plugin")
if "TOUCH_WHEN_IMPORTED" in os.environ:
    pathlib.Path(os.environ["TOUCH_WHEN_IMPORTED"]).touch()
""",
}


FOR_REPORTS = """
import ltcore

class Sureness(ltcore.Metric):
    \"\"\"The largest logit's mean.\"\"\"

    name = "sureness"
    title = "sureness"
    percent = False

    def compute(self, logits, labels, class_counts):
        return float(logits.max(axis=1).mean())

class Lines(ltcore.Reporter):
    \"\"\"A line a run.\"\"\"

    name = "lines"
    suffix = ".txt"

    def render(self, comparison):
        found = ((run.loss, run.metrics["balanced"].value("sureness")) for run in comparison.runs)
        return "".join(f"{loss!a} {value}\\n" for loss, value in found)

@ltcore.hookimpl
def ltcore_register_metrics():
    return [Sureness]

@ltcore.hookimpl
def ltcore_register_reporters():
    return [Lines]
"""


class Answer(NamedTuple):
    """What a command said."""

    code: int
    messages: str


VALIDATED = [
    "logit_adjusted",
    '{"name": "logit_adjusted", "tau": -1}',
    '{"name": "logit_adjusted", "tua": 1}',
    "focal",
    "ltcore-losses:focal",
    "ltcore-other-focal:focal",
    "what_it_would_offer",
    *(f"{distribution}:what_it_would_offer" for distribution, _ in BAD),
]


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and an empty folder in which its commands run."""

    bin: Path
    folder: Path

    def call(self, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        program, *rest = arguments
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}
        return subprocess.run(
            [self.bin / program, *rest],
            cwd=self.folder,
            env=inherited | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def ltcore(self, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.call("ltcore", *arguments, **variables)

    def in_one_process(self, *commands: Sequence[str]) -> list[Answer]:
        """Several commands of ltcore's, one after the other: importing it takes a while."""
        done = self.call("python", "-c", SEVERAL_COMMANDS, json.dumps(commands))
        assert done.returncode == 0, done.stderr
        return [Answer(*answer) for answer in json.loads(done.stdout.splitlines()[-1])]


def write_wheel(folder: Path, distribution: str, version: str, text: str) -> Path:
    """A wheel with one module and an entry point of ltcore's."""
    module = distribution.replace("-", "_")
    information = f"{module}-{version}.dist-info"
    files = {
        f"{module}.py": text,
        f"{information}/METADATA": (
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        ),
        f"{information}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{information}/entry_points.txt": f"[ltcore]\nplugin = {module}\n",
    }
    record = "".join(f"{name},{_digest(content)},\n" for name, content in files.items())
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{information}/RECORD", f"{record}{information}/RECORD,,\n")
    return path


def _digest(text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256={digest.decode().rstrip('=')}"


def build_wheels(folder: Path) -> None:
    """Wheels of ltcore, its plugins and the example."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder]
    processes = [
        subprocess.Popen([*command, source], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for source in SOURCES
    ]
    for process in processes:
        output, _ = process.communicate()
        assert process.returncode == 0, output.decode()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("third_party")
    wheels = folder / "wheels"
    wheels.mkdir()
    build_wheels(wheels)
    for (distribution, version), text in BAD.items():
        write_wheel(wheels, distribution, version, text)
    write_wheel(wheels, "ltcore-for-reports", "0.2", FOR_REPORTS)
    builder = venv.EnvBuilder(symlinks=True)
    builder.create(folder / "venv")
    context = builder.ensure_directories(folder / "venv")
    python = Path(context.env_exe)
    # What is not installed here comes from the environment of the tests: torch above all.
    paths = {"base": context.env_dir, "platbase": context.env_dir}
    own = Path(sysconfig.get_path("purelib", scheme="venv", vars=paths))
    others = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (own / "environment_of_the_tests.pth").write_text("\n".join(sorted(others)) + "\n")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    options = ["--no-index", "--ignore-installed", "--no-compile"]
    subprocess.run([*pip, *options, *sorted(wheels.iterdir())], check=True)
    work = folder / "work"
    work.mkdir()
    (work / "spec.json").write_text(json.dumps(SPEC))
    return Environment(python.parent, work)


@pytest.fixture(scope="module")
def finished(environment: Environment) -> subprocess.CompletedProcess[str]:
    """A run with the example's loss, beside all the bad plugins."""
    return environment.ltcore("run", "spec.json")


@pytest.fixture(scope="module")
def validated(environment: Environment) -> dict[str, Answer]:
    """Loss, as `--set` takes it -> what `ltcore validate` says of a spec with it."""
    commands = [("validate", "spec.json", "--set", f"loss={loss}") for loss in VALIDATED]
    return dict(zip(VALIDATED, environment.in_one_process(*commands), strict=True))


@pytest.fixture(scope="module")
def listed(environment: Environment) -> list[dict[str, object]]:
    done = environment.ltcore("plugins", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# The example.


def test_example_is_listed_with_its_distribution_and_version(listed):
    [row] = [row for row in listed if row["name"] == "logit_adjusted"]
    assert (row["distribution"], row["version"]) == ("ltcore-logit-adjusted", "0.1.0")
    assert (row["kind"], row["state"], row["cause"]) == ("loss", "ok", None)
    assert row["parameters"] == {"drw": None, "tau": 1.0}


def test_spec_with_the_example_is_valid(validated):
    code, messages = validated["logit_adjusted"]
    assert code == 0, messages


def test_parameter_of_the_example_is_checked_by_its_path(validated):
    code, messages = validated['{"name": "logit_adjusted", "tau": -1}']
    assert code == 2
    assert "spec.json: loss.tau: must be at least 0, is -1" in messages


def test_misspelt_parameter_of_the_example_is_refused(validated):
    code, messages = validated['{"name": "logit_adjusted", "tua": 1}']
    assert code == 2
    assert "spec.json: loss.tua: unknown field. Did you mean 'tau'?" in messages


def test_run_with_the_example_ends_with_a_results_file(environment, finished):
    assert finished.returncode == 0, finished.stderr
    assert Path(finished.stdout.strip()).suffix == ".h5"
    assert (environment.folder / finished.stdout.strip()).is_file()


def test_results_file_says_which_plugins_made_it(environment, finished):
    done = environment.ltcore("inspect", finished.stdout.strip())
    assert json.loads(done.stdout)["plugins"]["ltcore-logit-adjusted"] == "0.1.0"


def test_run_with_the_example_is_reported(environment, finished):
    done = environment.ltcore("report", finished.stdout.strip())
    assert done.returncode == 0, done.stderr
    assert "logit_adjusted" in done.stdout


def test_metric_and_reporter_of_a_plugin_are_listed(listed):
    rows = [row for row in listed if row["distribution"] == "ltcore-for-reports"]
    assert {(row["kind"], row["name"], row["state"]) for row in rows} == {
        ("metric", "sureness", "ok"),
        ("reporter", "lines", "ok"),
    }


def test_metric_of_a_plugin_is_reported(environment, finished):
    done = environment.ltcore("report", finished.stdout.strip(), "--metric", "sureness")
    assert done.returncode == 0, done.stderr
    assert "resnet32: sureness" in done.stdout
    assert "hello from a plugin" not in done.stdout


def test_reporter_of_a_plugin_renders_its_metric(environment, finished):
    options = ("--metric", "sureness", "--format", "lines")
    done = environment.ltcore("report", finished.stdout.strip(), *options)
    assert done.returncode == 0, done.stderr
    loss, value = done.stdout.split()
    assert loss == "'logit_adjusted'"
    assert float(value) == float(value)


def test_misspelt_metric_is_refused_with_the_nearest(environment, finished):
    done = environment.ltcore("report", finished.stdout.strip(), "--metric", "surenes")
    assert done.returncode == 2
    assert "no metric is called 'surenes'. Did you mean 'sureness'?" in done.stderr
    assert "Built in: top1, " in done.stderr


def test_tests_of_the_example_pass_where_it_is_installed(environment):
    options = ["-q", "-p", "no:cacheprovider", "-c", EXAMPLE / "pyproject.toml"]
    done = environment.call("python", "-m", "pytest", *options, EXAMPLE / "tests")
    assert done.returncode == 0, done.stdout


# Bad plugins.


@pytest.mark.parametrize(
    ("distribution", "version", "cause"),
    [
        (
            "ltcore-fails-to-import",
            "0.3",
            "ModuleNotFoundError: No module named 'a_module_that_nobody_has'",
        ),
        ("ltcore-hook-raises", "1.2", "ltcore_register_losses raised RuntimeError: out of order"),
        (
            "ltcore-misspells",
            "2.0",
            "ltcore_register_loses is no hook of ltcore. Did you mean 'ltcore_register_losses'?",
        ),
    ],
)
class TestBrokenPlugin:
    def test_is_listed_with_distribution_version_and_cause(
        self, listed, distribution, version, cause
    ):
        [row] = [row for row in listed if row["distribution"] == distribution]
        assert (row["version"], row["state"], row["cause"]) == (version, "broken", cause)

    @pytest.mark.parametrize("prefix", ["", "{distribution}:"])
    def test_is_named_where_a_spec_asks_for_what_nobody_offers(
        self, validated, distribution, version, cause, prefix
    ):
        loss = f"{prefix.format(distribution=distribution)}what_it_would_offer"
        code, messages = validated[loss]
        assert code == 2
        assert f"loss.name: no loss is called {loss!r}" in messages
        assert f"Not loaded: {distribution} {version} ({cause})" in messages


def test_name_that_two_distributions_offer_is_refused_naming_both(validated):
    code, messages = validated["focal"]
    assert code == 2
    assert "loss.name: ltcore-losses 0.1.0 and ltcore-other-focal 1.1 each offer" in messages
    assert "Write 'ltcore-losses:focal' or 'ltcore-other-focal:focal'" in messages


@pytest.mark.parametrize("loss", ["ltcore-losses:focal", "ltcore-other-focal:focal"])
def test_name_that_two_distributions_offer_is_found_with_the_distribution(validated, loss):
    code, messages = validated[loss]
    assert code == 0, messages


def test_names_that_clash_are_listed_as_such(listed):
    rows = [row for row in listed if row["name"] == "focal"]
    assert [row["state"] for row in rows] == ["clash", "clash"]
    assert [row["distribution"] for row in rows] == ["ltcore-losses", "ltcore-other-focal"]


@pytest.fixture(scope="module")
def runs_with_nonsense(environment: Environment) -> dict[str, Answer]:
    """Loss -> what a run with it says."""
    commands = [("run", "spec.json", "--set", f"loss={loss}") for loss in NONSENSE]
    return dict(zip(NONSENSE, environment.in_one_process(*commands), strict=True))


@pytest.mark.parametrize("loss", NONSENSE)
def test_loss_that_gives_nonsense_is_refused_with_the_step(runs_with_nonsense, loss):
    code, messages = runs_with_nonsense[loss]
    _, found = NONSENSE[loss]
    assert code == 2
    assert f"epoch 0, step 0: the criterion gave {found}" in messages


@pytest.mark.parametrize("loss", NONSENSE)
def test_loss_that_gives_nonsense_is_named_with_its_plugin(runs_with_nonsense, loss):
    _, messages = runs_with_nonsense[loss]
    [error] = [line for line in messages.splitlines() if line.startswith("error: ")]
    assert f"{loss!r}" in error
    assert "ltcore-nonsense 0.1" in error


def test_run_that_failed_leaves_no_results_file(environment, runs_with_nonsense):
    assert not [*environment.folder.glob("**/*gives_*.h5")]


def test_what_a_plugin_prints_when_it_is_loaded_is_no_output(environment):
    done = environment.ltcore("plugins", "--json")
    assert "hello from a plugin" in done.stderr
    assert json.loads(done.stdout)


def test_commands_that_need_no_plugin_load_none(environment, finished, tmp_path):
    marker = tmp_path / "imported"
    for arguments in (["--help"], ["run", "--help"], ["report", finished.stdout.strip()]):
        done = environment.ltcore(*arguments, TOUCH_WHEN_IMPORTED=str(marker))
        assert done.returncode == 0, done.stderr
        assert not marker.exists()


def test_command_that_needs_plugins_loads_them(environment, tmp_path):
    marker = tmp_path / "imported"
    environment.ltcore("plugins", TOUCH_WHEN_IMPORTED=str(marker))
    assert marker.exists()
