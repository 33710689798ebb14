"""Work that forks share: the results, in order, whatever becomes of a fork; and no fork is left."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import h5py
import pytest

import ltcore
from ltcore.measures import METRICS
from ltcore.publishing import USER_BLOCK
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.forks import Forks, forks_for
from ltcore.reporting.study import compare
from ltcore.results_files import write_results
from tests.command_runs import begin, end
from tests.report_runs import Offered, run_of, shuffled

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ltcore forks on Linux alone")

HERE = os.getpid()
ITEMS = tuple(range(7))


def whose(item):
    return f"{item} {os.getpid() == HERE}".encode()


def children():
    lists = Path("/proc/self/task").glob("*/children")
    return {child for each in lists for child in each.read_text(encoding="ascii").split()}


@pytest.fixture(autouse=True)
def no_fork_is_left():
    before = children()
    yield
    assert children() <= before


@pytest.mark.parametrize("forks", [0, 1, 2, 3, 9])
def test_results_come_in_the_order_of_the_items(forks):
    expected = [f"{item} {forks == 0}".encode() for item in ITEMS]
    assert list(Forks(whose, ITEMS, forks)) == expected


def test_results_may_be_empty_and_larger_than_a_pipe():
    sizes = (0, 1, 2**22, 0, 2**16)
    results = Forks(bytes, sizes, 2)
    assert [len(result) for result in results] == list(sizes)


def test_what_a_killed_fork_leaves_is_done_here():
    def work(item):
        if item == 2 and os.getpid() != HERE:
            os.kill(os.getpid(), signal.SIGKILL)
        return whose(item)

    results = list(Forks(work, ITEMS, 2))
    assert results == [f"{item} {item in (2, 4, 6)}".encode() for item in ITEMS]


def test_where_there_is_no_room_for_a_fork_its_work_is_done_here(monkeypatch):
    fork, born = os.fork, []

    def one():
        if born:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        born.append(1)
        return fork()

    monkeypatch.setattr(os, "fork", one)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    results = list(Forks(whose, ITEMS, 3))
    assert results == [f"{item} {item % 3 != 0}".encode() for item in ITEMS]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_half_a_result_counts_as_none():
    def work(item):
        if os.getpid() == HERE:
            return whose(item)
        if item == 0:  # meanwhile the other fork fills its pipe, and is killed
            time.sleep(1)
            return b""
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        return bytes(2**20)

    assert list(Forks(work, ITEMS[:2], 2)) == [b"", b"1 True"]


def test_an_error_is_raised_here():
    def work(item):
        if item == 3:
            raise ValueError(f"in the parent: {os.getpid() == HERE}")
        return whose(item)

    results = Forks(work, ITEMS, 2)
    assert [next(results) for _ in range(3)] == [b"0 False", b"1 False", b"2 False"]
    with pytest.raises(ValueError, match="in the parent: True"):
        next(results)


def test_giving_up_leaves_no_fork():
    def work(item):
        if item > 1:
            time.sleep(60)
        return whose(item)

    results = Forks(work, ITEMS, 2)
    assert next(results) == b"0 False"
    results.close()


LEAVING = """
import atexit, os, signal, sys
from ltcore.reporting.forks import Forks
atexit.register(print, "at exit")
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
print("begun", end=" ")
def work(item):
    os.kill(os.getpid(), signal.SIGTERM)
    return b""
for _ in Forks(work if "die" in sys.argv else lambda item: b"", range(4), 2):
    pass
"""


def test_a_fork_neither_prints_what_was_buffered_nor_runs_exit_hooks():
    done = subprocess.run([sys.executable, "-c", LEAVING], capture_output=True, check=True)
    assert done.stdout == b"begun at exit\n"
    assert done.stderr == b""


def test_no_handler_of_this_process_runs_in_a_fork():
    command = [sys.executable, "-c", LEAVING, "die"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout.count(b"handled") == 4  # by this process, which does what the forks left
    assert done.stderr == b""


IGNORING = """
import os, signal, time
from ltcore.reporting.forks import Forks
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def work(item):
    return str(os.getpid()).encode()
forks = Forks(work, range(9), 3)
print(len({*forks}))
waiting = Forks(lambda item: time.sleep(60 * (item > 0)) or b"", range(3), 3)
next(waiting)
waiting.close()
"""


def test_it_makes_no_difference_that_ended_processes_are_not_waited_for():
    command = [sys.executable, "-c", IGNORING]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30)
    assert done.stdout == b"3\n"
    assert done.stderr == b""


def test_pythons_warning_of_threads_is_no_error(monkeypatch):
    fork = os.fork

    def warning():
        process = fork()
        if process:
            warnings.warn("this process is multi-threaded", DeprecationWarning, stacklevel=2)
        return process

    monkeypatch.setattr(os, "fork", warning)
    assert list(Forks(whose, ITEMS[:2], 2)) == [b"0 False", b"1 False"]


ORPHANS = """
import os, sys, time
from ltcore.reporting.forks import Forks
def work(item):
    return str(os.getpid()).encode().ljust(2**20)
results = Forks(work, range(40), 3)
print(*(int(next(results)) for _ in range(3)), flush=True)
time.sleep(60)
"""


def test_forks_end_when_their_process_is_killed():
    with subprocess.Popen([sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE) as process:
        forks = [int(text) for text in process.stdout.readline().split()]
        assert len(set(forks)) == 3
        process.kill()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{fork}/root").exists() for fork in forks):
        assert time.monotonic() < deadline, "a fork outlived its process"
        time.sleep(0.05)


def test_few_items_are_not_worth_a_fork(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    assert [forks_for(items) for items in (0, 1, 8, 15, 16, 24, 56, 10_000)] == [
        *(0, 0, 0, 0, 2, 3, 4, 4)
    ]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert forks_for(10_000) == 0


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two settings, other test images, made-up predictions; damaged and missing files."""
    folder = tmp_path_factory.mktemp("files")
    runs = [
        *(run_of(loss, seed=seed) for loss in ("cross_entropy", "focal") for seed in (1, 2, 3)),
        run_of("ldam", val=False, val_is_test=True),
        run_of("lade", origin="accuracies"),
        shuffled(run_of("equalization")),
        run_of("focal", dataset="letters", ids="letter/{}"),
    ]
    paths = [write_results(run, folder / f"{index}.h5") for index, run in enumerate(runs)]
    damaged = bytearray(paths[0].read_bytes())
    damaged[-9] ^= 1
    (folder / "damaged.h5").write_bytes(damaged)
    content = paths[1].read_bytes()
    (folder / "spec.h5").write_bytes(content[USER_BLOCK:])  # without it, nothing is verified
    with h5py.File(folder / "spec.h5", "r+") as file:
        file.attrs["spec"] = '{"dataset": "d", "backbone": "b", "loss": 1}'
    others = [folder / f"{name}.h5" for name in ("damaged", "missing", "spec")]
    return [*paths, *others, paths[0]]


ASKED = {
    "plain": Analysis(every_metric=False),
    "all": Analysis(
        metrics=tuple(METRICS),
        intervals=True,
        pairs="all",
        thresholds=(100, 20),
        sweep_tau=True,
        temperature=True,
        details=True,
    ),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("forks", [1, 3])
def test_forks_change_no_digit(files, asked, forks):
    alone, shared = (compare(files, ASKED[asked], forks=number).to_dict() for number in (0, forks))
    causes = {Path(path).stem: error for path, error in alone["unreadable"].items()}
    assert list(causes) == ["damaged", "missing", "spec"]
    assert "spec.h5: its spec is not valid: loss: " in causes["spec"]
    assert json.dumps(shared) == json.dumps(alone)


def test_forks_read_the_members_of_an_ensemble(files):
    runs, analysis = files[:6], Analysis(ensemble=True)
    expected = compare(runs, analysis).to_dict()
    assert compare(runs, analysis, forks=2).to_dict() == expected


def test_runs_in_memory_are_shared_out_too():
    runs = [run_of(seed=seed) for seed in range(5)]
    assert ltcore.report(runs, forks=2).to_dict() == ltcore.report(runs).to_dict()


def test_of_two_spellings_of_a_path_the_smaller_is_shown(files, monkeypatch):
    folder = files[0].parent
    monkeypatch.chdir(folder)
    for sources in ([files[0], "0.h5"], ["0.h5", files[0]]):
        (run,) = compare(sources, forks=2).runs
        assert run.path == min(str(files[0]), "0.h5")


def test_a_plugins_metric_is_computed_in_this_process(files):
    seen = []

    def where(logits):
        seen.append(os.getpid())
        return 0.0

    analysis = Analysis(offered=(Offered(gives=where),), metrics=("offered",))
    compare(files[:3], analysis, forks=2)
    assert set(seen) == {HERE}


@pytest.fixture
def many(tmp_path):
    """As many files as are worth two forks."""
    path = write_results(run_of(), tmp_path / "0.h5")
    for index in range(1, 16):
        os.link(path, tmp_path / f"{index}.h5")
    return [str(tmp_path / f"{index}.h5") for index in range(16)]


WATCHED = """
import os, sys
fork, os.sched_getaffinity = os.fork, lambda _: {0, 1}
def watched():
    print(*{"numpy", "h5py", "pydantic", "torch", "ltcore.plugins"} & {*sys.modules})
    return fork()
os.fork = watched
from ltcore.cli import main
raise SystemExit(main(["report", *sys.argv[1:]]))
"""


def test_files_are_read_while_the_models_of_specs_are_imported(many):
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *many], capture_output=True, text=True, check=True
    )
    loaded = [set(line.split()) for line in done.stdout.splitlines()[:2]]
    assert loaded == [{"numpy", "h5py"}, {"numpy", "h5py"}]
    assert "focal" in done.stdout


def test_a_wrong_option_ends_the_forks(many):
    command = [sys.executable, "-c", WATCHED, *many, "--digits", "99"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        out, messages = process.communicate()
    assert len(out.splitlines()) == 2  # forks
    assert messages.startswith("error: --format table.digits: ")
    assert process.returncode == 2
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_ctrl_c_ends_a_report_with_its_forks(tmp_path):
    path = write_results(run_of(), tmp_path / "0.h5")
    for index in range(1, 400):
        os.link(path, tmp_path / f"{index}.h5")
    names = [f"{index}.h5" for index in range(400)]
    command = (sys.executable, "-m", "ltcore", "report", *names, "--interval", "--metric", "all")
    process = begin(tmp_path, command)
    time.sleep(1.5)
    os.killpg(process.pid, signal.SIGINT)
    code, out, messages = end(process, 20)
    assert code == 130, messages
    assert out == ""
    assert messages.strip() == "interrupted; the same command goes on"
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
