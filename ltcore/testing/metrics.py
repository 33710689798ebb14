"""The check of a metric: a number of any view, the same for the images in any order."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ltcore.components import Metric
from ltcore.testing.conformance import BrokenRuleError, Stage, run_rules
from ltcore.testing.declarations import DECLARATION, instance_of, label_of

_COUNTS = np.array([100, 20, 5, 1], dtype=np.int64)
_IMAGES = 24


@dataclass(frozen=True)
class _View:
    """A view's images, as a report hands them over."""

    logits: NDArray[np.float32]
    labels: NDArray[np.int32]


def check_metric(
    component: Metric | type[Metric], *, skip: Collection[str] = ()
) -> tuple[str, ...]:
    """Check the rules that a report relies on in a metric.

    Args:
        component: with the parameters to check; a class stands for its defaults.
        skip: names of rules that this metric breaks on purpose.

    Returns:
        The names of the rules that were looked at, at least one.

    Raises:
        ConformanceError: with every rule that is broken, what was found and what is expected.
    """
    metric = instance_of(component, Metric)  # type: ignore[type-abstract]
    stages = (
        Stage(DECLARATION, metric),
        Stage((gives_a_number,), metric, essential=True),
        Stage(_RULES, metric),
    )
    return run_rules(stages, label=label_of(metric), skip=skip)


def gives_a_number(metric: Metric) -> None:
    """``compute`` gives a finite number, or None where the metric is not defined."""
    _require_number(_value(metric, _view()))


def bears_any_view(metric: Metric) -> None:
    """One image, one class alone, all right, all wrong and equal logits are borne."""
    view = _view()
    one_hot = np.eye(len(_COUNTS), dtype=np.float32)
    for logits, labels in (
        (view.logits[:1], view.labels[:1]),
        (view.logits[view.labels == 3], view.labels[view.labels == 3]),
        (50 * one_hot[view.labels], view.labels),
        (50 * one_hot[(view.labels + 1) % len(_COUNTS)], view.labels),
        (np.zeros_like(view.logits), view.labels),
    ):
        _require_number(_value(metric, _View(logits, labels)))


def is_the_same_in_any_order(metric: Metric) -> None:
    """The images in another order give the same value, but for rounding."""
    view = _view()
    order = np.random.default_rng(1).permutation(_IMAGES)
    value, other = (
        _value(metric, view),
        _value(metric, _View(view.logits[order], view.labels[order])),
    )
    if value is None and other is None:
        return
    if value is None or other is None or not math.isclose(value, other, rel_tol=1e-9):
        raise BrokenRuleError(f"{value!r}, and {other!r} in another order")


def is_the_same_again(metric: Metric) -> None:
    """The same images give the same value: no random number, no state."""
    view = _view()
    value, again = _value(metric, view), _value(metric, view)
    if value != again:
        raise BrokenRuleError(f"{value!r}, and {again!r} the second time")


def leaves_its_arguments_alone(metric: Metric) -> None:
    """Logits, labels and counts are not written to: other metrics read them after it."""
    view = _view()
    logits, labels, counts = view.logits.copy(), view.labels.copy(), _COUNTS.copy()
    metric.compute(logits, labels, counts)
    pairs: tuple[tuple[str, NDArray[np.generic], NDArray[np.generic]], ...] = (
        ("logits", logits, view.logits),
        ("labels", labels, view.labels),
        ("class_counts", counts, _COUNTS),
    )
    changed = [name for name, now, before in pairs if not np.array_equal(now, before)]
    if changed:
        raise BrokenRuleError(f"it changed {', '.join(changed)}")


def is_a_share_where_it_says_percent(metric: Metric) -> None:
    """A metric in percent lies in [0, 1]; declare ``percent`` False for another."""
    value = _value(metric, _view())
    if metric.percent and value is not None and not 0 <= value <= 1:
        raise BrokenRuleError(f"it gave {value!r}")


def prints_nothing(metric: Metric) -> None:
    """The value is returned and nothing is printed."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        _value(metric, _view())
    if printed.getvalue():
        raise BrokenRuleError(f"it printed {printed.getvalue()[:60]!r}")


_RULES: tuple[Callable[[Metric], None], ...] = (
    bears_any_view,
    is_the_same_in_any_order,
    is_the_same_again,
    leaves_its_arguments_alone,
    is_a_share_where_it_says_percent,
    prints_nothing,
)


def _view() -> _View:
    random = np.random.default_rng(0)
    logits = random.normal(size=(_IMAGES, len(_COUNTS))).astype(np.float32)
    return _View(logits, np.arange(_IMAGES, dtype=np.int32) % len(_COUNTS))


def _value(metric: Metric, view: _View) -> float | None:
    return metric.compute(view.logits.copy(), view.labels.copy(), _COUNTS.copy())


def _require_number(value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool | str) or not math.isfinite(float(value)):  # type: ignore[arg-type]
        raise BrokenRuleError(f"it gave {value!r}")
