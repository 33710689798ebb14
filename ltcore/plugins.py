"""Find plugins through entry points, check what they hand over, and say precisely what is wrong.

pluggy's own entry-point loader skips duplicate names in silence and dies with the first broken
plugin; here each plugin has a manager of its own, and what is wrong with one is remembered and
told where it matters.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import Distribution, distributions, version
from typing import Any

import pluggy

from ltcore import hookspecs
from ltcore.components import Backbone, Component, Dataset, Kind, Loss, Metric, Reporter
from ltcore.errors import PluginError, StoppedError, one_line
from ltcore.hookspecs import PROJECT
from ltcore.measures import METRICS
from ltcore.mistakes import did_you_mean
from ltcore.offers import Fault, Offer, Source, problem_of
from ltcore.reporting.reporters import builtin_reporters

KINDS: Mapping[Kind, tuple[type[Component], str]] = {
    "dataset": (Dataset, "ltcore_register_datasets"),
    "backbone": (Backbone, "ltcore_register_backbones"),
    "loss": (Loss, "ltcore_register_losses"),
    "metric": (Metric, "ltcore_register_metrics"),
    "reporter": (Reporter, "ltcore_register_reporters"),
}
_HOOKS = tuple(name for name in dir(hookspecs) if name.startswith(f"{PROJECT}_"))
_SHIPPED_IN: Mapping[Kind, str] = {
    "dataset": "ltcore-datasets",
    "backbone": "ltcore-backbones",
    "loss": "ltcore-losses",
}


@dataclass(frozen=True)
class Plugin:
    """One loaded plugin: its source, and the manager that calls its hooks and no other's."""

    source: Source
    manager: pluggy.PluginManager


@dataclass(frozen=True)
class Catalogue:
    """What the installed plugins offer, and what is wrong with them.

    Attributes:
        plugins: those that could be imported, in order of distribution.
        offers: every sound component; two distributions may offer one name.
        faults: everything else.
        import_torch: the sources whose loading brought in torch.
    """

    plugins: tuple[Plugin, ...]
    offers: tuple[Offer, ...]
    faults: tuple[Fault, ...]
    import_torch: frozenset[Source] = frozenset()

    def of_kind(self, kind: Kind) -> tuple[Offer, ...]:
        """The offers of one kind, by name."""
        return tuple(offer for offer in self.offers if offer.kind == kind)

    def find(self, kind: Kind, reference: str) -> Offer:
        """The component that a spec names.

        Args:
            kind: where the spec names it.
            reference: ``"focal"``, or ``"ltcore-losses:focal"`` where two plugins offer the name.

        Raises:
            PluginError: nobody offers it, or two do.
        """
        distribution, _, name = reference.rpartition(":")
        named = [offer for offer in self.of_kind(kind) if offer.name == name]
        if distribution:
            named = [offer for offer in named if offer.source.is_called(distribution)]
        if not named:
            raise PluginError(self._nobody_offers(kind, reference))
        if len(named) > 1:
            sources = " and ".join(str(offer.source) for offer in named)
            full_names = " or ".join(repr(offer.full_name) for offer in named)
            raise PluginError(
                f"{sources} each offer a {kind} called {name!r}. "
                f"Write {full_names} to choose one, or uninstall the other."
            )
        return named[0]

    def with_listeners(self, *listeners: Any) -> Catalogue:
        """This catalogue and, after its plugins, objects that implement notification hooks.

        Raises:
            PluginError: an object implements no hook, or one wrongly.
        """
        faults: list[Fault] = []
        added: list[Plugin] = []
        for listener in listeners:
            source = Source(type(listener).__name__)
            manager = _manager_of(listener, source, faults)
            if manager is None or faults:
                raise PluginError(f"{source}: {faults[-1].cause}")
            added.append(Plugin(source, manager))
        return replace(self, plugins=(*self.plugins, *added))

    def _nobody_offers(self, kind: Kind, reference: str) -> str:
        by_source: dict[Source, list[str]] = {}
        for offer in self.of_kind(kind):
            by_source.setdefault(offer.source, []).append(offer.name)
        full = ":" in reference
        names = [offer.full_name if full else offer.name for offer in self.of_kind(kind)]
        if kind == "metric":  # ltcore's own are no components
            names += METRICS
        lines = [f"no {kind} is called {reference!r}.{did_you_mean(reference, names)}"]
        if kind == "metric":
            lines.append(f"  Built in: {', '.join(METRICS)}")
        for source, offered in sorted(by_source.items()):
            lines.append(f"  Installed: {', '.join(sorted(offered))} ({source})")
        lines += [f"  Not loaded: {fault.source} ({fault.cause})" for fault in self.faults]
        broken = dict.fromkeys(f.source.distribution for f in self.faults if f.source.version)
        if broken:
            lines.append(f"  To mend what was not loaded: pip install --upgrade {' '.join(broken)}")
        shipped = _SHIPPED_IN.get(kind)
        known = {*by_source, *(fault.source for fault in self.faults)}
        if shipped and not any(source.is_called(shipped) for source in known):
            lines.append(f"  To install ltcore's own: pip install {shipped}")
        return "\n".join(lines)


def load_plugins(*extra: Any) -> Catalogue:
    """Load the installed plugins, and those passed by hand, into a fresh catalogue.

    A plugin that cannot be loaded, or hands over something wrong, is remembered in the catalogue's
    ``faults``, and harms no other.

    Args:
        *extra: modules or objects that implement ltcore's hooks; no entry point is needed.
    """
    plugins: list[Plugin] = []
    offers: list[Offer] = []
    faults: list[Fault] = []
    import_torch: set[Source] = set()
    loaded: list[Any] = []
    for source, load in (*_installed(faults), *_by_hand(extra)):
        torch_was_there = "torch" in sys.modules
        with _blamed_on(source, faults):
            implementation = load()
            if not any(implementation is other for other in loaded):
                loaded.append(implementation)
                manager = _manager_of(implementation, source, faults)
                if manager is not None:
                    plugins.append(Plugin(source, manager))
                    offers += _offers_of(manager, source, faults)
        if "torch" in sys.modules and not torch_was_there:
            import_torch.add(source)
    ltcore = Source(PROJECT, version(PROJECT))
    offers = _without_duplicates(offers, faults)
    offers += [Offer(reporter, ltcore) for reporter in builtin_reporters().values()]
    offers.sort(key=lambda offer: ([*KINDS].index(offer.kind), offer.name, offer.source))
    return Catalogue(tuple(plugins), tuple(offers), tuple(faults), frozenset(import_torch))


_Load = tuple[Source, Callable[[], Any]]


def _installed(faults: list[Fault]) -> Iterator[_Load]:
    """The entry points by distribution; one whose metadata is damaged hides no other's."""
    found: dict[str, list[_Load]] = {}
    for distribution in distributions():
        try:
            entries = sorted(distribution.entry_points.select(group=PROJECT))
        except Exception as error:  # text that anybody may have written
            cause = f"its entry points cannot be read: {one_line(error)}"
            faults.append(Fault(_source_of(distribution), cause))
            continue
        if entries:
            source = _source_of(distribution)
            # of two versions on the path, the first is the one that is imported
            found.setdefault(source.distribution, [(source, entry.load) for entry in entries])
    for _, loads in sorted(found.items()):
        yield from loads


def _by_hand(extra: Sequence[Any]) -> Iterator[_Load]:
    for plugin in extra:
        name = getattr(plugin, "__name__", type(plugin).__name__)
        yield Source(name), partial(_itself, plugin)


def _itself(plugin: Any) -> Any:
    return plugin


def _source_of(distribution: Distribution) -> Source:
    with contextlib.suppress(Exception):
        return Source(distribution.name or "?", distribution.version or "")
    return Source("?")


def _manager_of(
    implementation: Any, source: Source, faults: list[Fault]
) -> pluggy.PluginManager | None:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(implementation)
    except Exception as error:  # a hook's arguments that do not fit, say
        faults.append(Fault(source, one_line(error)))
        return None
    callers = manager.get_hookcallers(implementation) or []
    for caller in callers:
        if not caller.has_spec():
            near = did_you_mean(caller.name, _HOOKS)
            faults.append(Fault(source, f"{caller.name} is no hook of ltcore.{near}"))
    implemented = {caller.name for caller in callers}
    unmarked = [
        name
        for name in _HOOKS
        if name not in implemented and callable(getattr(implementation, name, None))
    ]
    faults += [Fault(source, f"{name} lacks @ltcore.hookimpl") for name in unmarked]
    if not implemented and not unmarked:
        faults.append(Fault(source, "it implements none of ltcore's hooks (@ltcore.hookimpl)"))
    return manager if implemented else None


def _offers_of(
    manager: pluggy.PluginManager, source: Source, faults: list[Fault]
) -> Iterator[Offer]:
    for kind, (base, hook) in KINDS.items():
        caller = getattr(manager.hook, hook)
        answer: Any = ()
        if caller.get_hookimpls():
            with _blamed_on(source, faults, f"{hook} raised "):
                answer = next(iter(caller()), None)
        if not isinstance(answer, (list, tuple)):
            found = "None" if answer is None else f"something of type {type(answer).__name__}"
            faults.append(Fault(source, f"{hook} returned {found}, not a list of classes"))
            continue
        for definition in answer:
            problem = problem_of(definition, kind, base)
            if problem:
                faults.append(Fault(source, f"{hook}: {problem}"))
            else:
                yield Offer(definition, source)


def _without_duplicates(offers: Iterable[Offer], faults: list[Fault]) -> list[Offer]:
    """Leave out what one source offers several times under one name: which one is meant?"""
    named: dict[tuple[Source, Kind, str], list[Offer]] = {}
    for offer in dict.fromkeys(offers):
        named.setdefault((offer.source, offer.kind, offer.name), []).append(offer)
    for (source, kind, name), same in named.items():
        if len(same) > 1:
            cause = f"it offers {len(same)} {kind} classes called {name!r}, so none is used"
            faults.append(Fault(source, cause))
    return [same[0] for same in named.values() if len(same) == 1]


@contextlib.contextmanager
def _blamed_on(source: Source, faults: list[Fault], doing: str = "") -> Iterator[None]:
    """Remember what a plugin raises; what it prints is no output of ours and goes to stderr."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except StoppedError:
        raise
    except (Exception, SystemExit) as error:  # a stranger's code
        faults.append(Fault(source, f"{doing}{one_line(error)}"))
