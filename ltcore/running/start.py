"""The part of a run that needs no torch: is it finished already, and where does it go?"""

from __future__ import annotations

from pathlib import Path

from ltcore.errors import ExistingResultsError, LtcoreError, ResultsFileError
from ltcore.outcome import ResolvedSpec
from ltcore.plugins import Catalogue
from ltcore.resolution import resolve
from ltcore.results import Results, read_results


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
            f"{error}\n  It stands where this run's results would go; move it away first."
        ) from None
    except LtcoreError as error:
        raise ExistingResultsError(
            f"{path}: holds the results of a spec that the installed plugins cannot read:\n"
            f"{error}\n  Give the new spec another name or --out."
        ) from None
    now = resolved.outcome()
    fields = [key for key in {**now, **before} if now.get(key) != before.get(key)]
    if fields:
        lines = [
            f"  {field}: {before.get(field)!r} there, {now.get(field)!r} here" for field in fields
        ]
        raise ExistingResultsError(
            f"{path}: holds the results of another spec:\n" + "\n".join(lines) + "\n"
            "  Give this spec another name or --out, or move that file away."
        )
    return results


def train_and_test(resolved: ResolvedSpec, out: Path, catalogue: Catalogue) -> Results:
    """Run a resolved spec that is not finished.

    Raises:
        LtcoreError: see :mod:`ltcore.errors` for the kinds.
    """
    from ltcore.running.engine import execute  # torch takes seconds to import

    return execute(resolved, results_path(resolved, out), catalogue.plugins)
