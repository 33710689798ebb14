"""Reads results files one after the other: each is evaluated, adjusted where asked, and let go."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
from collections.abc import Container, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from ltcore.comparison import Adjustment
from ltcore.errors import NonFiniteError, ResultsFileError
from ltcore.reporting.adjustment import NotAdjustableError, adjusted
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.details import details_of
from ltcore.reporting.evaluation import evaluate
from ltcore.reporting.evidence import Evidence, Images, in_id_order
from ltcore.reporting.forks import in_forks
from ltcore.reporting.grouping import Entry, entry_of
from ltcore.results import Results, read_results

_Value = TypeVar("_Value", bound=Hashable)

Source = str | os.PathLike[str] | Results


@dataclass(slots=True)
class _Read:
    """One source: what it gave, or why it gave nothing."""

    name: str
    source: Source | None = None
    entries: list[Entry] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: ResultsFileError | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """A source, what makes it the same as another, and what it is called."""

    source: Source
    identity: object
    name: str


class Reading:
    """Reads sources, and keeps what a comparison needs of them.

    Args:
        analysis: what is asked for.
    """

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self._names: dict[object, str] = {}
        self._read: dict[object, _Read] = {}
        self._images: dict[Images, Images] = {}
        self._shared: dict[Hashable, Any] = {}

    def read_all(self, sources: Iterable[Source], forks: int = 0) -> None:
        """Read, evaluate and let go of each source.

        Args:
            sources: in any order.
            forks: copies of this process that share the work. A plugin's metrics, which may use
                threads, are computed in this process alone.
        """
        new = self._new(sources)
        if not forks or self._analysis.offered:
            for each in new:
                self._keep(each, self._read_one(each))
            return
        listed, parcels = tuple(new), _Parcels()
        packed = in_forks(lambda each: parcels.pack(self._read_one(each)), listed, forks)
        with contextlib.closing(packed):
            for each, parcel in zip(listed, packed, strict=True):
                self._keep(each, parcels.unpack(parcel))

    def again(self, member: Evidence) -> Results:
        """The results that a member's row was made of, read once more."""
        source = next(
            read.source
            for read in self._read.values()
            for entry in read.entries
            if entry.packed is member.packed and read.source is not None
        )
        results = self._results(source)
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

    def _new(self, sources: Iterable[Source]) -> Iterator[_Place]:
        """Each source once; of two spellings of one path the smaller, whichever comes first."""
        for source in sources:
            place = _place_of(source)
            known = self._names.get(place.identity)
            if known is None or place.name < known:
                self._names[place.identity] = place.name
                yield place

    def _read_one(self, place: _Place) -> _Read:
        read = _Read(place.name)
        try:
            results = self._results(place.source)
            read.entries.append(self._entry(results))
            if self._analysis.adjusts:
                self._add_adjusted(read, results)
        except ResultsFileError as error:
            read.error = error
        return read

    def _keep(self, place: _Place, read: _Read) -> None:
        read.entries = [self._sharing(entry) for entry in read.entries]
        if self._analysis.ensemble:  # which reads it again; else results in memory are let go
            read.source = place.source
        self._read[place.identity] = read

    def _sharing(self, entry: Entry) -> Entry:
        """The same entry; what other runs have too is theirs, so that thousands take little."""
        run, once = entry.run, self._once
        metrics = {once(view): of for view, of in run.metrics.items()}
        if self._analysis.top1_alone:  # else hardly any two are equal
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
        return entry_of(results, evaluation, adjustment, details)


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
        self._sent.update(entry.images.digest for entry in read.entries)
        return parcel.getvalue()

    def unpack(self, parcel: bytes) -> _Read:
        read: _Read = _Unpacking(io.BytesIO(parcel), self._received).load()
        for entry in read.entries:
            self._received.setdefault(entry.images.digest, entry.images)
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
