"""Reads results files one after the other: each is evaluated, adjusted where asked, and let go."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from ltcore.comparison import Adjustment
from ltcore.errors import NonFiniteError, ResultsFileError
from ltcore.reporting.adjustment import NotAdjustableError, adjusted
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.details import details_of
from ltcore.reporting.evaluation import evaluate
from ltcore.reporting.evidence import Evidence, Images, in_id_order
from ltcore.reporting.grouping import Entry, SettingKey, entry_of
from ltcore.results import Results, read_results

Source = str | os.PathLike[str] | Results


@dataclass(slots=True)
class _Read:
    """One source: what it gave, or why it gave nothing."""

    source: Source
    name: str
    entries: list[Entry] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: ResultsFileError | None = None


class Reading:
    """Reads one source after the other, and keeps what a comparison needs of it.

    Args:
        analysis: what is asked for.
    """

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self._read: dict[object, _Read] = {}
        # Values that many runs share are kept once.
        self._images: dict[Images, Images] = {}
        self._settings: dict[SettingKey, SettingKey] = {}

    def read(self, source: Source) -> None:
        """Read, evaluate and let go of a source."""
        identity, name = _identity(source)
        # Of two spellings of one path the smaller is shown, whichever came first.
        if identity in self._read and self._read[identity].name <= name:
            return
        # Only an ensemble reads a source again: else results in memory are let go here.
        read = self._read[identity] = _Read(source if self._analysis.ensemble else name, name)
        try:
            results = self._results(source)
            read.entries.append(self._entry(results))
            if self._analysis.adjusts:
                self._add_adjusted(read, results)
        except ResultsFileError as error:
            read.error = error

    def again(self, member: Evidence) -> Results:
        """The results that a member's row was made of, read once more."""
        read = next(
            read
            for read in self._read.values()
            for entry in read.entries
            if entry.packed is member.packed
        )
        results = self._results(read.source)
        return results if member.run.adjustment is None else adjusted(results, self._analysis)[0]

    def all_entries(self) -> list[Entry]:
        """What was read."""
        return [entry for read in self._read.values() for entry in read.entries]

    def all_unreadable(self) -> dict[str, ResultsFileError]:
        """Path -> cause, by path."""
        return {read.name: read.error for read in self._by_name() if read.error is not None}

    def all_warnings(self) -> tuple[str, ...]:
        """By path."""
        return tuple(text for read in self._by_name() for text in read.warnings)

    def _by_name(self) -> list[_Read]:
        return sorted(self._read.values(), key=lambda read: read.name)

    def _results(self, source: Source) -> Results:
        """The results, their images in the order of ids: on that of the file no digit depends."""
        if isinstance(source, Results):
            results = source
        else:
            results = read_results(source, test_only=not self._analysis.reads_whole_files)
        val = None if results.val is None else in_id_order(results.val)
        return replace(results, test=in_id_order(results.test), val=val)

    def _add_adjusted(self, read: _Read, results: Results) -> None:
        try:
            changed, adjustment = adjusted(results, self._analysis)
        except NotAdjustableError as error:
            read.warnings.append(f"{read.name}: not adjusted: {error}")
            return
        read.entries.append(self._entry(changed, adjustment))
        if any(adjustment.tau or ()) and results.trained_prior == "uniform":
            read.warnings.append(
                f"{read.name}: {results.spec.loss.name} makes up for the class prior already; "
                "adjusting its logits does so twice"
            )
        if adjustment.crossfitted:
            read.warnings.append(
                f"{read.name}: validation images are the test images: what was chosen for each "
                "half of them was chosen on the other half"
            )

    def _entry(self, results: Results, adjustment: Adjustment | None = None) -> Entry:
        try:
            evaluation = evaluate(results, self._analysis, self._images)
        except NonFiniteError as error:
            raise ResultsFileError(f"{results.path or results.name}: {error}") from None
        details = details_of(results) if self._analysis.details else None
        entry = entry_of(results, evaluation, adjustment, details)
        return replace(entry, setting=self._settings.setdefault(entry.setting, entry.setting))


def _identity(source: Source) -> tuple[object, str]:
    """What makes a source the same as another, and what it is called."""
    if not isinstance(source, Results):
        path = Path(source)
    elif source.path is not None:
        path = source.path
    else:
        return object(), source.name
    return os.path.normcase(path.absolute()), str(path)
