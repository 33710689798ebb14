"""Notifications: every listener hears, one that raises is switched off, a slow one is named."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import ltcore
from ltcore import listeners as module
from ltcore.listeners import Listeners
from ltcore.progress import EpochRow, RunInfo

RUN = RunInfo(
    name="mine",
    out=Path("out"),
    epochs=3,
    train_images=10,
    val_images=5,
    test_images=5,
    num_classes=2,
    parameters=8,
    device="cpu",
)


def row(epoch: int) -> EpochRow:
    return EpochRow(epoch, 0.1, 1.0, 0.5, 1.0, 0.5, 2.0)


class Good:
    def __init__(self) -> None:
        self.heard: list[int] = []

    @ltcore.hookimpl
    def ltcore_epoch_finished(self, run, row):
        assert run is RUN
        self.heard.append(row.epoch)


class Bad:
    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.calls = 0

    @ltcore.hookimpl
    def ltcore_epoch_finished(self, row):
        self.calls += 1
        raise self.error


class Deaf:
    @ltcore.hookimpl
    def ltcore_run_finished(self, results):
        raise AssertionError("no run has finished")


@pytest.fixture
def tell(catalogue):
    """Tell listeners of the epochs up to three, and give the warnings."""

    def tell(*listeners: object) -> list[str]:
        notify = Listeners(catalogue.with_listeners(*listeners).plugins).notify
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for epoch in range(3):
                notify("ltcore_epoch_finished", run=RUN, row=row(epoch))
        assert all(warning.category is ltcore.LtcoreWarning for warning in caught)
        assert all(warning.filename == __file__ for warning in caught)
        return [str(warning.message) for warning in caught]

    return tell


def test_every_listener_hears_every_epoch_in_order(tell):
    first, second = Good(), Good()
    assert tell(first, Deaf(), second) == []
    assert first.heard == second.heard == [0, 1, 2]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            RuntimeError("lost the\nconnection \x1b[31m"),
            "RuntimeError: lost the connection \\x1b[31m",
        ),
        (SystemExit(1), "SystemExit: 1"),
        (ltcore.PluginError("odd"), "PluginError: odd"),
    ],
)
def test_a_listener_that_raises_is_switched_off_with_one_warning(tell, error, text):
    before, bad, after = Good(), Bad(error), Good()
    assert tell(before, bad, after) == [
        f"Bad is switched off for this run: ltcore_epoch_finished raised {text}"
    ]
    assert bad.calls == 1
    assert before.heard == after.heard == [0, 1, 2]


def test_an_interruption_is_no_listener_s_fault(tell):
    with pytest.raises(KeyboardInterrupt):
        tell(Bad(KeyboardInterrupt()))


def test_a_slow_listener_is_named_once_and_goes_on(tell, monkeypatch):
    class Slow(Good):
        @ltcore.hookimpl
        def ltcore_epoch_finished(self, run, row):
            super().ltcore_epoch_finished(run, row)
            passed.append(12.4)

    passed: list[float] = []
    monkeypatch.setattr(module.time, "monotonic", lambda: sum(passed))
    slow, quick = Slow(), Good()
    assert tell(slow, quick) == ["Slow holds up the run: ltcore_epoch_finished took 12 s"]
    assert slow.heard == quick.heard == [0, 1, 2]
