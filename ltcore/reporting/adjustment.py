r"""What saved logits give without training: logit adjustment and temperature.

Logit adjustment takes ``tau log(prior)`` from the logits of a model that was trained on the class
prior; tau and the temperature are chosen on validation images. Where these are the test images,
each half of them chooses for the other.

Reference:
    Menon, Jayasumana, Rawat, Jain, Veit, Kumar: Long-Tail Learning via Logit Adjustment. ICLR 2021.
    Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks. ICML 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ltcore.comparison import Adjustment
from ltcore.predictions import Predictions
from ltcore.protocol import draw_per_class
from ltcore.reporting.analysis import Analysis
from ltcore.results import Outcome

TAUS = np.linspace(0.0, 3.0, 61)
"""What a sweep tries."""

Logits = NDArray[np.float32]
Labels = NDArray[np.int32]
_Chosen = tuple[float, float]
"""Tau and temperature."""

_SMALLEST, _LARGEST = 0.01, 100.0  # temperatures; logits of a perfect model ask for none above 0
_BLOCK = 2**18


class NotAdjustableError(Exception):
    """Why a run's logits cannot be adjusted, in words that follow its file's name."""


def adjusted(results: Outcome, analysis: Analysis) -> tuple[Outcome, Adjustment]:
    """A run with adjusted logits, as the analysis asks: tau first, then the temperature.

    Raises:
        NotAdjustableError: published accuracies; no validation logits, or too few test images to
            take their place; a class that no image was trained on; a tau too large for float32.
    """
    if results.origin == "accuracies":
        raise NotAdjustableError("published accuracies have no logits to adjust")
    fixed, sweeps = analysis.logit_adjust, analysis.sweep_tau
    shifts = sweeps or fixed is not None
    log_prior = _log_prior(results) if shifts else np.zeros(len(results.classes))

    def choose(logits: Logits, labels: Labels) -> _Chosen:
        tau = best_tau(logits, labels, log_prior) if sweeps else fixed or 0.0
        if not analysis.temperature:
            return tau, 1.0
        return tau, best_temperature(change(logits, (tau, 1.0)), labels)

    def change(logits: Logits, chosen: _Chosen) -> Logits:
        tau, temperature = chosen
        with np.errstate(over="ignore"):  # told below
            return (logits - (tau * log_prior).astype(np.float32)) / np.float32(temperature)

    if sweeps or analysis.temperature:
        results, chosen = _chosen_elsewhere(results, choose, change)
    else:
        chosen = ((fixed or 0.0, 1.0),)
        results = _applied(results, lambda logits: change(logits, chosen[0]))
    if not np.isfinite(results.test.logits).all():
        raise NotAdjustableError("its logits would be too large for float32")
    taus, temperatures = zip(*chosen, strict=True)
    label = f"+LA({'val' if sweeps else f'{taus[0]:g}'})" if shifts else ""
    adjustment = Adjustment(
        label=label + ("+T(val)" if analysis.temperature else ""),
        tau=(taus if sweeps else taus[:1]) if shifts else None,
        temperature=temperatures if analysis.temperature else None,
    )
    return results, adjustment


def best_tau(logits: Logits, labels: Labels, log_prior: NDArray[np.float64]) -> float:
    """The tau of ``TAUS`` whose predictions have the highest balanced accuracy.

    Of equally good ones the smallest.

    Args:
        logits: (n, K).
        labels: (n,).
        log_prior: (K,).
    """
    images = np.bincount(labels, minlength=logits.shape[1])
    present = images > 0
    accuracies = []
    for tau in TAUS:
        prediction = (logits - (tau * log_prior).astype(np.float32)).argmax(axis=1)
        hits = np.bincount(labels[prediction == labels], minlength=len(images))
        accuracies.append(np.mean(hits[present] / images[present]))
    return float(TAUS[int(np.argmax(accuracies))])


def best_temperature(logits: Logits, labels: Labels) -> float:
    """The temperature in [0.01, 100] at which the labels' mean NLL is least.

    The NLL is convex in ``1 / T``: Newton's method on it, kept inside what is still possible.

    Args:
        logits: (n, K).
        labels: (n,).
    """
    low, high, inverse = 1 / _LARGEST, 1 / _SMALLEST, 1.0
    for _ in range(100):
        slope, curvature = _nll_derivatives(logits, labels, inverse)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        step = inverse - slope / curvature if curvature > 0 else np.inf
        following = step if low < step < high else (low * high) ** 0.5
        if abs(following - inverse) <= 1e-10 * inverse:
            break
        inverse = following
    return 1 / inverse


def _nll_derivatives(logits: Logits, labels: Labels, inverse: float) -> tuple[float, float]:
    """The first and second derivative of the mean NLL by ``1 / T``."""
    slope = curvature = 0.0
    rows = max(1, _BLOCK // logits.shape[1])
    for start in range(0, len(labels), rows):
        block = logits[start : start + rows].astype(np.float64)
        block -= block.max(axis=1, keepdims=True)
        share = np.exp(inverse * block)
        share /= share.sum(axis=1, keepdims=True)
        expected = (share * block).sum(axis=1)
        of_label = block[np.arange(len(block)), labels[start : start + rows]]
        slope += float((expected - of_label).sum())
        curvature += float(((share * block**2).sum(axis=1) - expected**2).sum())
    return slope / len(labels), curvature / len(labels)


def halves(ids: NDArray[np.str_], labels: Labels) -> NDArray[np.bool_]:
    """Draw half of each class's images by the hash of their ids: (n,) whether in the second."""
    half = (np.bincount(labels) + 1) // 2
    second = np.ones(len(labels), dtype=np.bool_)
    second[draw_per_class(labels.astype(np.int64), ids, half, seed=0)] = False
    return second


def _chosen_elsewhere(
    results: Outcome,
    choose: Callable[[Logits, Labels], _Chosen],
    change: Callable[[Logits, _Chosen], Logits],
) -> tuple[Outcome, tuple[_Chosen, ...]]:
    """Choose on the validation images, or all that one half of the test images takes on the other.

    Returns:
        The results with changed test and validation logits, and what was chosen: once, or for
        each half.
    """
    test, val = results.test, results.val
    if val is not None:
        chosen = choose(val.logits, val.label)
        return _applied(results, lambda logits: change(logits, chosen)), (chosen,)
    if not results.val_is_test:
        raise NotAdjustableError("it has no validation logits to choose on")
    second = halves(test.id, test.label)
    if not second.any():
        raise NotAdjustableError("its test images, one of each class, cannot be halved")
    of_first = choose(test.logits[second], test.label[second])
    of_second = choose(test.logits[~second], test.label[~second])
    first_logits, second_logits = (change(test.logits, chosen) for chosen in (of_first, of_second))
    logits = np.where(second[:, None], second_logits, first_logits)
    return replace(results, test=_with(test, logits)), (of_first, of_second)


def _applied(results: Outcome, change: Callable[[Logits], Logits]) -> Outcome:
    val = results.val
    return replace(
        results,
        test=_with(results.test, change(results.test.logits)),
        val=None if val is None else _with(val, change(val.logits)),
    )


def _with(split: Predictions, logits: Logits) -> Predictions:
    return Predictions.from_logits(logits, split.label, split.id, split.views)


def _log_prior(results: Outcome) -> NDArray[np.float64]:
    counts = results.classes.counts
    if not counts.all():
        empty = results.classes.names[int(np.argmin(counts))]
        raise NotAdjustableError(f"its class {empty!r} has no training image, so no log prior")
    log_prior: NDArray[np.float64] = np.log(counts / counts.sum(dtype=np.float64))
    return log_prior
