"""The command line: outputs, streams, exit codes, and what each command leaves unimported."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ltcore.cli import COMMANDS, main

TINY = {
    "dataset": {
        "name": "synthetic",
        "classes": 4,
        "per_class": 8,
        "imbalance_factor": 0.5,
        "val_per_class": 2,
        "test_per_class": 4,
    },
    "backbone": "resnet32",
    "loss": "cross_entropy",
    "training": {"epochs": 1, "batch_size": 8},
}


@pytest.fixture
def spec_file(tmp_path):
    def write(document=TINY, name="spec.json"):
        path = tmp_path / name
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return str(path)

    return write


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Two finished runs of the tiny spec, made by the command itself."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "spec.json").write_text(json.dumps(TINY))
    for loss in ("cross_entropy", "balanced_softmax"):
        arguments = [
            "run",
            str(folder / "spec.json"),
            "--out",
            str(folder),
            "--set",
            f"loss={loss}",
        ]
        assert main(arguments) == 0
    return folder


def result_files(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.glob("*.h5"))


def test_run_prints_the_path_alone_to_stdout(spec_file, tmp_path, capfd):
    assert main(["run", spec_file(), "--out", str(tmp_path / "out")]) == 0
    out, err = capfd.readouterr()
    (path,) = result_files(tmp_path / "out")
    assert out == f"{path}\n"
    assert "epoch 1/1" in err
    assert "balanced_tail" in err
    assert "\r" not in err
    assert "\x1b" not in err


def test_run_of_a_finished_spec_says_so(finished, capfd):
    arguments = ["run", str(finished / "spec.json"), "--out", str(finished)]
    assert main(arguments) == 0
    out, err = capfd.readouterr()
    assert "is finished already" in err
    assert out.strip() in result_files(finished)


def test_run_set_beats_the_file(finished):
    names = [Path(path).name for path in result_files(finished)]
    assert [name.split("-")[2] for name in names] == ["balanced_softmax", "cross_entropy"]


def test_run_prints_the_numbers_of_report(finished, capfd):
    main(["run", str(finished / "spec.json"), "--out", str(finished)])
    printed = capfd.readouterr().err
    main(["report", *result_files(finished), "--format", "json"])
    runs = json.loads(capfd.readouterr().out)["runs"]
    run = next(run for run in runs if run["loss"] == "cross_entropy")
    for view, metrics in run["metrics"].items():
        if metrics["top1"] is not None:
            line = f"{view} +{100 * metrics['top1']:.2f}  of {metrics['n']:,} images"
            assert re.search(line, printed), line


def test_run_writes_tensorboard_curves(spec_file, tmp_path):
    program = "import sys; from ltcore.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["run", spec_file(), "--out", str(tmp_path / "out"), "--tensorboard"]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True)
    events = list((tmp_path / "out" / "tensorboard").glob("*/events*"))
    assert len(events) == 1
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = EventAccumulator(str(events[0]))
    curves.Reload()
    assert "val_top1" in curves.Tags()["scalars"]


def test_run_on_a_terminal_shows_a_bar(spec_file, tmp_path):
    import pty

    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ltcore", "run", spec_file(), "--out", str(tmp_path / "out")],
        stderr=terminal,
        stdout=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            chunk = os.read(controller, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    out, _ = process.communicate()
    os.close(controller)
    assert process.returncode == 0
    assert b"1/1" in shown
    assert b"\x1b[" in shown
    assert out.decode().strip().endswith(".h5")


def test_report_table_has_a_row_a_loss(finished, capfd):
    assert main(["report", *result_files(finished)]) == 0
    out, err = capfd.readouterr()
    assert "balanced_softmax" in out
    assert "cross_entropy" in out
    assert err == ""


def test_report_writes_a_file(finished, tmp_path, capfd):
    assert (
        main(
            ["report", *result_files(finished), "--format", "json", "-o", str(tmp_path / "r.json")]
        )
        == 0
    )
    assert len(json.loads((tmp_path / "r.json").read_text())["runs"]) == 2
    assert capfd.readouterr().out == ""


def test_report_says_where_it_cannot_write(finished, tmp_path, capfd):
    assert main(["report", *result_files(finished), "-o", str(tmp_path)]) == 5
    assert capfd.readouterr().err == f"error: {tmp_path}: cannot be written: Is a directory\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_report_says_that_standard_output_is_full(finished):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ltcore", "report", *result_files(finished)],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 5
    assert done.stderr.startswith("error: standard output: cannot be written: No space left")


def test_report_names_unreadable_files_and_reports_the_others(finished, tmp_path, capfd):
    (tmp_path / "damaged.h5").write_bytes(Path(result_files(finished)[0]).read_bytes()[:-1])
    (tmp_path / "text.h5").write_text("hello")
    bad = [str(tmp_path / name) for name in ("damaged.h5", "text.h5", "missing.h5")]
    assert main(["report", *result_files(finished), *bad, "--format", "json"]) == 3
    out, err = capfd.readouterr()
    assert len(json.loads(out)["runs"]) == 2
    for path in bad:
        assert f"error: {path}: " in err


def test_report_takes_no_option_that_the_reporter_lacks(finished, capfd):
    assert main(["report", *result_files(finished), "--format", "json", "--digits", "3"]) == 2
    assert "--digits: the reporter 'json' takes no options" in capfd.readouterr().err


def test_report_suggests_a_metric(finished, capfd):
    assert main(["report", *result_files(finished), "--metric", "top2"]) == 2
    assert "top1" in capfd.readouterr().err


def test_report_names_an_unknown_format(finished, capfd):
    assert main(["report", *result_files(finished), "--format", "jsn"]) == 2
    assert "no reporter is called 'jsn'. Did you mean 'json'?" in capfd.readouterr().err


def test_inspect_shows_what_is_in_a_file(finished, capfd):
    assert main(["inspect", result_files(finished)[0]]) == 0
    shown = json.loads(capfd.readouterr().out)
    assert shown["verified"] is True
    assert shown["spec"]["loss"]["name"] == "balanced_softmax"
    assert shown["classes"]["number"] == 4
    assert shown["splits"]["test"]["images"] == shown["splits"]["test"]["views"]["balanced"]
    assert len(shown["history"]["epoch"]) == 1


def test_inspect_of_no_results_file(tmp_path, capfd):
    (tmp_path / "x.h5").write_text("hello")
    assert main(["inspect", str(tmp_path / "x.h5")]) == 3
    assert "begins neither as ltcore's results files do" in capfd.readouterr().err


def test_validate_names_the_results_file(spec_file, capfd):
    assert main(["validate", spec_file({**TINY, "name": "mine"})]) == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert "valid; its results file is mine.h5" in err
    assert "weights" in err


def test_validate_prints_the_complete_spec(spec_file, capfd):
    assert main(["validate", spec_file(), "--json"]) == 0
    complete = json.loads(capfd.readouterr().out)
    assert complete["transform"]["size"] == 32
    assert complete["seeds"] == {"data": 42, "init": 42, "order": 42, "split": 42}


def test_schema_accepts_the_examples(capfd):
    import jsonschema

    assert main(["schema"]) == 0
    validator = jsonschema.Draft202012Validator(json.loads(capfd.readouterr().out))
    for path in sorted(Path(__file__, "../../examples").resolve().glob("*.json")):
        validator.validate(json.loads(path.read_text()))
    assert not validator.is_valid({**TINY, "loss": "focl"})


def test_plugins_lists_every_component_as_json(capfd):
    assert main(["plugins", "--json"]) == 0
    rows = json.loads(capfd.readouterr().out)
    focal = next(row for row in rows if row["name"] == "focal")
    assert focal == {
        "kind": "loss",
        "name": "focal",
        "parameters": {"drw": None, "gamma": 2.0},
        "distribution": "ltcore-losses",
        "version": focal["version"],
        "state": "ok",
        "cause": None,
    }
    assert {row["kind"] for row in rows} == {"dataset", "backbone", "loss", "reporter"}


def test_plugins_table_has_a_line_a_component(capfd):
    assert main(["plugins"]) == 0
    out = capfd.readouterr().out
    for name in ("cifar100_lt", "resnet32", "focal", "json"):
        assert re.search(rf"^\w+ +{name} ", out, re.MULTILINE), name


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example(name, capfd):
    assert main([name, "--help"]) == 0
    assert f"Example: ltcore {name}" in " ".join(capfd.readouterr().out.split())


def test_short_help_is_the_same_in_both_places():
    import importlib

    for name, text in COMMANDS.items():
        assert importlib.import_module(f"ltcore.cli.{name}").command.short_help == text


def test_an_unknown_command_is_exit_2(capfd):
    assert main(["rnu"]) == 2
    assert "rnu" in capfd.readouterr().err


def test_set_without_equals_is_exit_2(spec_file, capfd):
    assert main(["validate", spec_file(), "--set", "seed"]) == 2
    assert "has no '='" in capfd.readouterr().err


def imported_by(*arguments: str) -> set[str]:
    program = (
        "import sys; from ltcore.cli import main; code = main(sys.argv[1:]); "
        "print(*sorted(m for m in sys.modules if '.' not in m), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


def test_help_imports_nothing_heavy():
    heavy = {"torch", "torchvision", "timm", "numpy", "h5py", "pydantic", "rich", "pluggy"}
    assert not imported_by("--help") & heavy


@pytest.mark.parametrize("command", ["validate", "schema", "plugins", "report", "inspect"])
def test_light_commands_leave_torch_alone(command, finished):
    arguments = {
        "validate": [str(finished / "spec.json")],
        "report": result_files(finished),
        "inspect": result_files(finished)[:1],
    }
    modules = imported_by(command, *arguments.get(command, []))
    assert "ltcore" in modules
    assert not modules & {"torch", "torchvision", "timm"}


def test_report_loads_no_plugin(finished):
    modules = imported_by("report", *result_files(finished))
    assert not modules & {"ltcore_losses", "ltcore_backbones", "ltcore_datasets", "pluggy"}


def test_a_finished_run_leaves_torch_alone(finished):
    modules = imported_by("run", str(finished / "spec.json"), "--out", str(finished))
    assert "torch" not in modules


def test_ctrl_c_is_130_without_a_traceback(spec_file, tmp_path):
    spec = spec_file({**TINY, "training": {"epochs": 10000, "batch_size": 8}})
    process = subprocess.Popen(
        [sys.executable, "-m", "ltcore", "run", spec, "--out", str(tmp_path / "out")],
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts its background jobs with SIGINT ignored, and they pass that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        for line in process.stderr:
            if "epoch" in line:
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "interrupted" in err
    assert not result_files(tmp_path / "out")


def test_debug_shows_the_traceback(tmp_path, capfd):
    assert main(["--debug", "inspect", str(tmp_path / "no.h5")]) == 3
    err = capfd.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("error: ")


def test_python_m_ltcore_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "ltcore", "--version"], capture_output=True, text=True, check=True
    )
    assert re.match(r"ltcore, version \d+\.\d+", done.stdout)


HOOKED = """
import atexit, sys
from ltcore.cli import command_line
atexit.register(print, "at exit")
command_line()
"""


def test_a_command_that_loads_plugins_runs_their_exit_hooks():
    command = [sys.executable, "-c", HOOKED, "plugins"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\nat exit\n")


def test_a_command_that_loads_none_ends_with_its_exit_code_and_all_it_printed(finished, tmp_path):
    (tmp_path / "empty.h5").touch()
    files = [*result_files(finished), str(tmp_path / "empty.h5")]
    command = [sys.executable, "-c", HOOKED, "report", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "cross_entropy" in done.stdout
    assert done.stderr == f"error: {tmp_path / 'empty.h5'}: an empty file\n"
    assert "at exit" not in done.stdout


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0)])
def test_what_was_closed_before_it_began_is_no_error(closed, code):
    command = f"{sys.executable} -m ltcore --help {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr == ""


def test_an_exit_code_needs_no_stderr(tmp_path):
    command = f"{sys.executable} -m ltcore report {tmp_path / 'missing.h5'} 2>&-"
    assert subprocess.run(command, shell=True, capture_output=True, check=False).returncode == 3
