"""Reads results files one after the other: each is evaluated, adjusted where asked, and let go."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Container, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ltcore.comparison import Adjustment
from ltcore.errors import NonFiniteError, ResultsFileError
from ltcore.reporting.adjustment import NotAdjustableError, adjusted
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.details import details_of
from ltcore.reporting.evaluation import evaluate
from ltcore.reporting.evidence import Evidence, Images, in_id_order
from ltcore.reporting.forks import Forks
from ltcore.reporting.scored import Scored, scored
from ltcore.results import Outcome, Results
from ltcore.results_files import read_outcome

if TYPE_CHECKING:
    from ltcore.reporting.entries import Entry

_Value = TypeVar("_Value", bound=Hashable)

Source = str | os.PathLike[str] | Results


@dataclass(frozen=True, slots=True)
class _Place:
    """A source, what makes it the same as another, and what it is called."""

    source: Source
    identity: object
    name: str


@dataclass(frozen=True, slots=True)
class _Read:
    """What one source gave, or why it gave nothing."""

    runs: tuple[Scored, ...] = ()
    warnings: tuple[str, ...] = ()
    error: ResultsFileError | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept of one source."""

    name: str
    entries: tuple[Entry, ...]
    warnings: tuple[str, ...]
    error: ResultsFileError | None
    source: Source | None


class Reading:
    """Reads sources, and keeps what a comparison needs of them.

    Forks begin at once, the process itself when :meth:`entries` asks for what was read. A plugin's
    metrics, which may use threads, are computed in the process alone.

    Args:
        sources: paths of results files, or results; in any order, each let go before the next.
        analysis: what is asked for.
        forks: copies of this process that share the work.
    """

    def __init__(self, sources: Iterable[Source], analysis: Analysis, forks: int = 0) -> None:
        self.analysis = analysis
        self._names: dict[object, str] = {}
        self._kept: dict[object, _Kept] = {}
        self._images: dict[Images, Images] = {}
        self._shared: dict[Hashable, Any] = {}
        self._places: Iterable[_Place] = self._new(sources)
        self._parcels = _Parcels()
        self._forks: Forks | None = None
        if forks and not analysis.offered:
            self._places = places = tuple(self._places)
            self._forks = Forks(lambda each: self._parcels.pack(self._read(each)), places, forks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._forks is not None:
            self._forks.close()

    def entries(self) -> list[Entry]:
        """Read every source to its end; what is returned is kept here no longer."""
        for place in self._places:
            if self._forks is None:
                self._keep(place, self._read(place))
            else:
                self._keep(place, self._parcels.unpack(next(self._forks)))
        self._places = ()
        found = [entry for kept in self._kept.values() for entry in kept.entries]
        if not self.analysis.ensemble:  # which reads them again
            self._kept = {
                identity: replace(kept, entries=())
                for identity, kept in self._kept.items()
                if kept.warnings or kept.error
            }
        return found

    def again(self, member: Evidence) -> Outcome:
        """The outcome that a member's row was made of, read once more."""
        source = next(
            kept.source
            for kept in self._kept.values()
            for entry in kept.entries
            if entry.packed is member.packed and kept.source is not None
        )
        outcome, _ = self._outcome(source)
        return outcome if member.run.adjustment is None else adjusted(outcome, self.analysis)[0]

    def unreadable(self) -> dict[str, ResultsFileError]:
        """Path -> cause, by path."""
        return {kept.name: kept.error for kept in self._by_name() if kept.error is not None}

    def warnings(self) -> tuple[str, ...]:
        """By path."""
        return tuple(text for kept in self._by_name() for text in kept.warnings)

    def _new(self, sources: Iterable[Source]) -> Iterator[_Place]:
        """Each source once; of two spellings of one path the smaller, whichever comes first."""
        for source in sources:
            place = _place_of(source)
            known = self._names.get(place.identity)
            if known is None or place.name < known:
                self._names[place.identity] = place.name
                yield place

    def _read(self, place: _Place) -> _Read:
        try:
            outcome, spec = self._outcome(place.source)
            run = self._scored(outcome, spec)
            if not self.analysis.adjusts:
                return _Read((run,))
            try:
                outcome, adjustment = adjusted(outcome, self.analysis)
            except NotAdjustableError as error:
                return _Read((run,), (f"not adjusted: {error}",))
            return _Read((run, self._scored(outcome, spec, adjustment)))
        except ResultsFileError as error:
            return _Read(error=error)

    def _keep(self, place: _Place, read: _Read) -> None:
        """Make entries of runs; the models that this takes are imported while forks read."""
        from ltcore.reporting.entries import entry_of

        entries: list[Entry] = []
        warnings, error = list(read.warnings), read.error
        try:
            for run in read.runs:
                entries.append(self._sharing(entry_of(run)))
                warnings += _doubts(run, entries[-1])
        except ResultsFileError as not_valid:
            entries, warnings, error = [], [], not_valid
        self._kept[place.identity] = _Kept(
            place.name,
            tuple(entries),
            tuple(f"{place.name}: {warning}" for warning in warnings),
            error,
            place.source if self.analysis.ensemble else None,  # else results in memory are let go
        )

    def _sharing(self, entry: Entry) -> Entry:
        """The same entry; what other runs have too is theirs, so that thousands take little."""
        run, once = entry.run, self._once
        metrics = {once(view): of for view, of in run.metrics.items()}
        if self.analysis.top1_alone:  # else hardly any two are equal
            metrics = {view: once(of) for view, of in metrics.items()}
        return replace(
            entry,
            setting=once(entry.setting),
            backbone=once(entry.backbone),
            loss=once(entry.loss),
            images=once(entry.images),
            run=replace(
                run,
                dataset=once(run.dataset),
                seeds=once(run.seeds),
                environment=once(run.environment),
                metrics=metrics,
            ),
        )

    def _once(self, value: _Value) -> _Value:
        """The first of equal values."""
        first: _Value = self._shared.setdefault(value, value)
        return first

    def _by_name(self) -> list[_Kept]:
        return sorted(self._kept.values(), key=lambda kept: kept.name)

    def _outcome(self, source: Source) -> tuple[Outcome, str]:
        """A run's outcome and spec, its images in the order of ids: no digit depends on another."""
        outcome: Outcome
        if isinstance(source, Results):
            outcome, spec = source, source.spec.to_json()
        else:
            outcome, spec = read_outcome(source, test_only=not self.analysis.reads_whole_files)
        val = None if outcome.val is None else in_id_order(outcome.val)
        return replace(outcome, test=in_id_order(outcome.test), val=val), spec

    def _scored(self, outcome: Outcome, spec: str, adjustment: Adjustment | None = None) -> Scored:
        try:
            evaluation = evaluate(outcome, self.analysis, self._images)
        except NonFiniteError as error:
            raise ResultsFileError(f"{outcome.path or outcome.name}: {error}") from None
        details = details_of(outcome) if self.analysis.details else None
        return scored(outcome, spec, evaluation, adjustment, details)


def _doubts(run: Scored, entry: Entry) -> Iterator[str]:
    """What a reader must know of adjusted logits."""
    adjustment = run.adjustment
    if adjustment is None:
        return
    if any(adjustment.tau or ()) and run.reweighted:
        yield (
            f"{entry.run.loss} makes up for the class prior already; adjusting its logits does so "
            "twice"
        )
    if adjustment.crossfitted:
        yield (
            "validation images are the test images: what was chosen for each half of them was "
            "chosen on the other half"
        )


def _place_of(source: Source) -> _Place:
    if not isinstance(source, Results):
        path = Path(source)
    elif source.path is not None:
        path = source.path
    else:
        return _Place(source, object(), source.name)
    return _Place(source, os.path.normcase(path.absolute()), str(path))


class _Parcels:
    """What was read, as bytes between processes; test images, which many share, are sent once."""

    def __init__(self) -> None:
        self._sent: set[str] = set()
        self._received: dict[str, Images] = {}

    def pack(self, read: _Read) -> bytes:
        parcel = io.BytesIO()
        _Packing(parcel, self._sent).dump(read)
        self._sent.update(run.images.digest for run in read.runs)
        return parcel.getvalue()

    def unpack(self, parcel: bytes) -> _Read:
        read: _Read = _Unpacking(io.BytesIO(parcel), self._received).load()
        for run in read.runs:
            self._received.setdefault(run.images.digest, run.images)
        return read


class _Packing(pickle.Pickler):
    def __init__(self, parcel: io.BytesIO, sent: Container[str]) -> None:
        super().__init__(parcel, protocol=pickle.HIGHEST_PROTOCOL)
        self._sent = sent

    def persistent_id(self, item: Any) -> str | None:
        return item.digest if isinstance(item, Images) and item.digest in self._sent else None


class _Unpacking(pickle.Unpickler):
    """Of what this process's own forks send, and nothing else: unpickling may run code."""

    def __init__(self, parcel: io.BytesIO, received: Mapping[str, Images]) -> None:
        super().__init__(parcel)
        self._received = received

    def persistent_load(self, digest: str) -> Images:
        return self._received[digest]
