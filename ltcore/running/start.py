"""The part of a run that needs no torch: is it finished, begun, or another process's?

One process at a time writes in a run's own folder, ``<out>/<name>/``, which is there while the run
is not finished: ``begun.json`` says of which spec it is, ``checkpoint.pt`` how far it has come,
``status.json`` how it failed. Of several ranks, the first is that process.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ltcore.errors import (
    AnotherRankError,
    CheckpointError,
    ExistingResultsError,
    LtcoreError,
    LtcoreWarning,
    ResultsFileError,
    RunningElsewhereError,
    SurroundingsError,
    exit_code_of,
    one_line,
)
from ltcore.locking import is_held_or_left, only_writer
from ltcore.outcome import ResolvedSpec
from ltcore.plugins import Catalogue
from ltcore.publishing import publish_bytes
from ltcore.ranks import this_rank
from ltcore.resolution import resolve
from ltcore.results import Results
from ltcore.results_files import read_results
from ltcore.stopping import StopRequest

_BEGUN, _STATUS = "begun.json", "status.json"


@dataclass(frozen=True)
class Options:
    """How to run, and what to do with what is there already.

    Attributes:
        fresh: forget an interrupted run and begin anew.
        force: run although there are results; they are kept aside.
        keep_folder: leave the run's own folder when it is finished.
        own_process: the process does nothing but this run, so that how it keeps its memory may be
            settled for good.
    """

    fresh: bool = False
    force: bool = False
    keep_folder: bool = False
    own_process: bool = False


def results_path(resolved: ResolvedSpec, out: Path) -> Path:
    """``<out>/<name>.h5``."""
    return out / f"{resolved.spec.name}.h5"


def finished_results(resolved: ResolvedSpec, out: Path, catalogue: Catalogue) -> Results | None:
    """The results of this very spec, where it has run before.

    Raises:
        ExistingResultsError: the file holds another spec's, or cannot be read.
    """
    path = results_path(resolved, out)
    if not path.exists():
        return None
    try:
        results = read_results(path)
        before = resolve(results.spec, catalogue).outcome()
    except ResultsFileError as error:
        raise ExistingResultsError(
            f"{error}\n  It stands where this run's results would go; move it away first, or let "
            "--force put it aside."
        ) from None
    except LtcoreError as error:
        raise ExistingResultsError(
            f"{path}: holds the results of a spec that the installed plugins cannot read:\n"
            f"{error}\n  Give the new spec another name or --out, or let --force put it aside."
        ) from None
    differing = _differing(resolved.outcome(), before)
    if differing:
        raise ExistingResultsError(
            f"{path}: holds the results of another spec:\n{differing}\n"
            "  Give this spec another name or --out, or let --force put that file aside."
        )
    return results


def tidy(resolved: ResolvedSpec, out: Path) -> None:
    """Remove the folder of a finished run that was ended before it could do so itself."""
    folder = results_path(resolved, out).with_suffix("")
    if is_held_or_left(folder) or (folder / _STATUS).exists():
        with (
            contextlib.suppress(RunningElsewhereError),
            only_writer(folder, str(resolved.spec.name)),
        ):
            _forget(folder)


def refuse_running_elsewhere(resolved: ResolvedSpec, out: Path) -> None:
    """See at once, before the ranks are started, that no other process is running this run.

    Raises:
        RunningElsewhereError: one is.
        SurroundingsError: the run's folder cannot be written.
    """
    with only_writer(results_path(resolved, out).with_suffix(""), str(resolved.spec.name)):
        pass


def train_and_test(
    resolved: ResolvedSpec,
    out: Path,
    catalogue: Catalogue,
    options: Options | None = None,
    stop: StopRequest | None = None,
) -> Results:
    """Run a resolved spec, from where it was interrupted if it was.

    Where this process is one of several ranks, all must call this.

    Args:
        resolved: the spec and its components.
        out: the folder of the results file.
        catalogue: whose plugins are told of the run.
        options: what to do with what is there already.
        stop: a way to ask the run to stop.

    Returns:
        The results; those of another process, where it finished the run in the meantime.

    Raises:
        RunningElsewhereError: another process is running this run.
        CheckpointError: an interrupted run of another spec, or a damaged one, is in the way.
        LtcoreError: see :mod:`ltcore.errors` for the other kinds.
    """
    options = options or Options()
    path = results_path(resolved, out)
    folder = path.with_suffix("")
    if not this_rank().first:
        return _follow(resolved, path, options, stop or StopRequest())
    with only_writer(folder, str(resolved.spec.name)), _noting_failure(folder):
        if options.force and _put_aside(path):
            _forget(folder)  # a kept checkpoint is the old run's
        finished = finished_results(resolved, out, catalogue)
        if finished is not None:
            _forget(folder)
            if not this_rank().alone:  # the others have not seen it yet, and wait
                raise RunningElsewhereError(
                    f"{path}: another process has just finished this run; its results are there."
                )
            return finished
        if options.fresh:
            _forget(folder)
        _begin(folder, resolved)
        from ltcore.running.engine import execute  # torch takes seconds to import

        results = execute(
            resolved,
            path,
            catalogue.plugins,
            stop or StopRequest(),
            own_process=options.own_process,
        )
        if not options.keep_folder:
            _forget(folder)
        return results


def _follow(resolved: ResolvedSpec, path: Path, options: Options, stop: StopRequest) -> Results:
    """Run as a rank that is not the first: it writes nothing, and repeats no warning."""
    from ltcore.running.engine import execute

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LtcoreWarning)
        return execute(
            resolved,
            path,
            (),
            stop,
            partial(_note_failure, path.with_suffix("")),
            own_process=options.own_process,
        )


@contextlib.contextmanager
def _noting_failure(folder: Path) -> Iterator[None]:
    try:
        yield
    except AnotherRankError:
        raise
    except BaseException as error:
        _note_failure(folder, error)
        raise


def _note_failure(folder: Path, error: BaseException) -> None:
    """Leave the exit code and the message of what ends the run early in ``status.json``."""
    status = {
        "exit_code": exit_code_of(error),
        "error": str(error) if isinstance(error, LtcoreError) else one_line(error),
        "rank": this_rank().number,
    }
    content = memoryview(json.dumps(status, indent=2).encode())
    with contextlib.suppress(SurroundingsError):  # the run's own error matters more
        publish_bytes(content, folder / _STATUS, folder / f"{_STATUS}.tmp")


def _begin(folder: Path, resolved: ResolvedSpec) -> None:
    """Note of which spec the folder's checkpoint is, or see that it is of this one."""
    begun, outcome = folder / _BEGUN, resolved.outcome()
    conditions = {name: version(name) for name in ("ltcore", "torch")}
    conditions["ranks"] = str(this_rank().of)
    (folder / _STATUS).unlink(missing_ok=True)
    if begun.exists():
        try:
            content = json.loads(begun.read_text(encoding="utf-8"))
            before, then = content["outcome"], content["conditions"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{begun}: cannot be read: {error}. Start the run anew with --fresh."
            ) from None
        differing = _differing(json.loads(json.dumps(outcome)), before)
        if then != conditions:
            warnings.warn(
                f"the run was begun with {_listed(then)} and goes on with {_listed(conditions)}: "
                "its numbers may not be those of an unbroken one",
                LtcoreWarning,
                stacklevel=2,
            )
        if differing:
            raise CheckpointError(
                f"{folder}: holds an interrupted run of another spec:\n{differing}\n"
                "  Give this spec another name or --out, or begin anew with --fresh."
            )
    else:
        written = json.dumps({"outcome": outcome, "conditions": conditions}, indent=2).encode()
        publish_bytes(memoryview(written), begun, folder / "begun.tmp")


def _listed(conditions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in conditions.items())


def _forget(folder: Path) -> None:
    """Remove all that an interrupted run left, but the lock."""
    try:
        for item in folder.iterdir():
            if item.name not in ("lock", "holder.json"):
                shutil.rmtree(item) if item.is_dir() else item.unlink()
    except OSError as error:
        raise SurroundingsError(f"{folder}: cannot be emptied: {error.strerror}") from None


def _put_aside(path: Path) -> bool:
    """Rename results and weights to ``<name>.h5.1`` or the next free number, where they exist."""
    if not path.exists():
        return False
    files = [file for file in (path.with_suffix(".safetensors"), path) if file.exists()]
    number = 1
    while any(file.with_name(f"{file.name}.{number}").exists() for file in files):
        number += 1
    try:
        for file in files:  # the results last: without them the run is not finished
            file.rename(file.with_name(f"{file.name}.{number}"))
    except OSError as error:
        raise SurroundingsError(
            f"{path}: cannot be put aside: {error.strerror}. Move it away, or mend the folder's "
            "permissions."
        ) from None
    return True


def _differing(now: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """A line for each field in which two specs differ; empty where there is none."""
    fields = [key for key in {**now, **before} if now.get(key) != before.get(key)]
    return "\n".join(
        f"  {field}: {before.get(field)!r} there, {now.get(field)!r} here" for field in fields
    )
