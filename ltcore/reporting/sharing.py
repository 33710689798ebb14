"""What thousands of runs have alike is kept once."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, TypeVar

from ltcore.measures import Metrics

_Value = TypeVar("_Value", bound=Hashable)


class Shared:
    """The first of equal values.

    Args:
        metrics: whether those of a view are often equal: where they are accuracies alone.
    """

    def __init__(self, *, metrics: bool) -> None:
        self._metrics = metrics
        self._first: dict[Hashable, Any] = {}
        self._places: dict[tuple[str, ...], Mapping[str, int]] = {}

    def once(self, value: _Value) -> _Value:
        """The same value; the object that came first."""
        first: _Value = self._first.setdefault(value, value)
        return first

    def by_view(self, metrics: Mapping[str, Metrics]) -> Mapping[str, Metrics]:
        """The same metrics, in an object of their own, which they are known by.

        The names of the views are shared.
        """
        views = tuple(metrics)
        if views not in self._places:
            self._places[views] = {view: place for place, view in enumerate(views)}
        values = metrics.values()
        return _ByView(
            self._places[views], tuple(map(self.once, values) if self._metrics else values)
        )


class _ByView(Mapping[str, Metrics]):
    """Half the size of a dictionary of as many views."""

    __slots__ = ("_places", "_values")

    def __init__(self, places: Mapping[str, int], values: tuple[Metrics, ...]) -> None:
        self._places = places
        self._values = values

    def __getitem__(self, view: str) -> Metrics:
        return self._values[self._places[view]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(dict(self))
