"""Reads results files one after the other: each is evaluated, adjusted where asked, and let go."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from ltcore.comparison import Adjustment
from ltcore.errors import NonFiniteError, ResultsFileError
from ltcore.reporting.adjustment import NotAdjustableError, adjusted
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.details import details_of
from ltcore.reporting.evaluation import evaluate
from ltcore.reporting.evidence import Evidence, Images, in_id_order
from ltcore.reporting.forks import Forks, letting_go
from ltcore.reporting.scored import Scored, scored
from ltcore.reporting.sharing import Shared
from ltcore.results import Outcome, Results
from ltcore.results_files import read_outcome

Source = str | os.PathLike[str] | Results


@dataclass(frozen=True, slots=True)
class _Place:
    """A source, what makes it the same as another, and what it is called."""

    source: Source
    identity: object
    name: str

    @property
    def path(self) -> str | None:
        """None for results in memory."""
        in_memory = isinstance(self.source, Results) and self.source.path is None
        return None if in_memory else self.name


@dataclass(frozen=True, slots=True)
class _Read:
    """What one source gave, or why it gave nothing."""

    runs: tuple[Scored, ...] = ()
    warnings: tuple[str, ...] = ()
    error: ResultsFileError | None = None


@dataclass(frozen=True, slots=True)
class _Told:
    """What a reader must know of one source."""

    name: str
    warnings: tuple[str, ...]
    error: ResultsFileError | None


class Reading:
    """Reads sources, and keeps what a comparison needs of them.

    Forks begin at once, the process itself when :meth:`evidence` asks for what was read. A plugin's
    metrics, which may use threads, are computed in the process alone.

    Args:
        sources: paths of results files, or results; in any order, each let go before the next.
        analysis: what is asked for.
        forks: copies of this process that share the work.
    """

    def __init__(self, sources: Iterable[Source], analysis: Analysis, forks: int = 0) -> None:
        self.analysis = analysis
        self._names: dict[object, str] = {}
        self._found: dict[object, tuple[Evidence, ...]] = {}
        self._told: dict[object, _Told] = {}
        self._sources: dict[int, Source] = {}  # by the identity of the metrics that came of them
        self._images: dict[Images, Images] = {}
        self._shared = Shared(metrics=analysis.top1_alone)
        self._places: Iterable[_Place] = self._new(sources)
        self._parcels = _Parcels()
        self._forks: Forks | None = None
        if forks and not analysis.offered:
            places = tuple(self._places)
            self._places = letting_go(places)
            self._forks = Forks(lambda each: self._parcels.pack(self._read(each)), places, forks)
            self._names = {}  # all are known

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._forks is not None:
            self._forks.close()

    def evidence(self) -> list[Evidence]:
        """Read every source to its end; what is returned is kept here no longer."""
        for place in self._places:
            if self._forks is None:
                self._keep(place, self._read(place))
            else:
                self._keep(place, self._parcels.unpack(next(self._forks)))
        found = [item for of_source in self._found.values() for item in of_source]
        self._names, self._found = {}, {}
        return found

    def again(self, member: Evidence) -> Outcome:
        """The outcome that a member's row was made of, read once more."""
        outcome, _ = self._outcome(self._sources[id(member.run.metrics)])
        return outcome if member.run.adjustment is None else adjusted(outcome, self.analysis)[0]

    def unreadable(self) -> dict[str, ResultsFileError]:
        """Path -> cause, by path."""
        return {told.name: told.error for told in self._by_name() if told.error is not None}

    def warnings(self) -> tuple[str, ...]:
        """By path."""
        return tuple(text for told in self._by_name() for text in told.warnings)

    def _new(self, sources: Iterable[Source]) -> Iterator[_Place]:
        """Each source once; of two spellings of one path the smaller, whichever comes first."""
        home = _home()
        for source in sources:
            place = _place_of(source, home)
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
        """Make evidence of runs; the models that this takes are imported while forks read."""
        from ltcore.reporting.gathering import evidence_of

        found: list[Evidence] = []
        warnings, error = list(read.warnings), read.error
        try:
            for run in read.runs:
                found.append(evidence_of(run, self._shared, place.path))
                warnings += _doubts(run, found[-1])
        except ResultsFileError as not_valid:
            found, warnings, error = [], [], not_valid
        self._found[place.identity] = tuple(found)
        self._told.pop(place.identity, None)
        if warnings or error:
            texts = tuple(f"{place.name}: {warning}" for warning in warnings)
            self._told[place.identity] = _Told(place.name, texts, error)
        if self.analysis.ensemble:  # else results in memory are let go
            self._sources |= {id(item.run.metrics): place.source for item in found}

    def _by_name(self) -> list[_Told]:
        return sorted(self._told.values(), key=lambda told: told.name)

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


def _doubts(run: Scored, evidence: Evidence) -> Iterator[str]:
    """What a reader must know of adjusted logits."""
    adjustment = run.adjustment
    if adjustment is None:
        return
    if any(adjustment.tau or ()) and run.reweighted:
        yield (
            f"{evidence.run.loss} makes up for the class prior already; adjusting its logits does "
            "so twice"
        )
    if adjustment.crossfitted:
        yield (
            "validation images are the test images: what was chosen for each half of them was "
            "chosen on the other half"
        )


def _place_of(source: Source, home: str) -> _Place:
    """Where a source lies, below the directory ``home`` or anywhere."""
    if not isinstance(source, Results):
        path = Path(source)
    elif source.path is not None:
        path = source.path
    else:
        return _Place(source, object(), source.name)
    # Of equal strings one is kept, as there may be thousands: what most are called says where
    # they lie, seen from home.
    name = str(path)
    name = source if type(source) is str and source == name else name
    identity = os.path.normcase(_absolute(path)).removeprefix(home)
    return _Place(source, name if name == identity else identity, name)


def _home() -> str:
    """The working directory as the beginning of a path; empty where it is gone."""
    with suppress(FileNotFoundError):
        return os.path.normcase(Path.cwd()).rstrip(os.sep) + os.sep
    return ""


def _absolute(path: Path) -> Path:
    """The path itself where it is relative to a directory that is gone."""
    with suppress(FileNotFoundError):
        return path.absolute()
    return path


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
