"""SIGTERM and SIGUSR1 end the step and leave a checkpoint; Ctrl-C leaves at once; both go on."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import ClassVar

import pytest

import ltcore
from ltcore.stopping import StopRequest, stop_on_signals
from tests.command_runs import SPEC, begin, left, wait_for
from tests.interrupted_runs import PlainNet


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    process = begin(folder)
    _, messages = process.communicate(timeout=120)
    assert process.returncode == 0, messages
    return left(folder)


@pytest.mark.parametrize(
    ("name", "group", "moment"),
    [
        ("SIGTERM", False, "training, "),
        ("SIGTERM", True, "epoch 1/2"),
        ("SIGUSR1", False, "epoch 1/2"),
        ("SIGTERM", False, "epoch 2/2"),
    ],
)
def test_a_signal_stops_with_75_and_the_same_command_goes_on(
    tmp_path, unbroken, name, group, moment
):
    process = begin(tmp_path)
    wait_for(process, moment)
    number = getattr(signal, name)
    os.killpg(process.pid, number) if group else process.send_signal(number)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 75, messages
    assert messages.splitlines()[-1] == f"error: stopped by {name}; the same command goes on"
    assert "Traceback" not in messages
    again = begin(tmp_path)
    _, messages = again.communicate(timeout=120)
    assert again.returncode == 0, messages
    assert "goes on at epoch" in messages or moment == "training, "
    assert left(tmp_path) == unbroken


def test_a_signal_before_training_stops_at_once(tmp_path, unbroken):
    process = begin(tmp_path)
    while not (tmp_path / "results" / "run" / "begun.json").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 75, messages
    again = begin(tmp_path)
    _, messages = again.communicate(timeout=120)
    assert again.returncode == 0, messages
    assert left(tmp_path) == unbroken


def test_ctrl_c_leaves_with_130_and_the_same_command_goes_on(tmp_path, unbroken):
    process = begin(tmp_path)
    wait_for(process, "epoch 1/2")
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130, messages
    assert "interrupted; the same command goes on" in messages
    assert "Traceback" not in messages
    again = begin(tmp_path)
    _, messages = again.communicate(timeout=120)
    assert "goes on at epoch" in messages
    assert left(tmp_path) == unbroken


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)) == before


def test_a_thread_handles_no_signals():
    found = []

    def enter():
        with stop_on_signals():
            found.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [before]


def test_a_stop_while_a_plugin_is_imported_is_a_stop():
    class Slow:
        @ltcore.hookimpl
        def ltcore_register_losses(self):
            StopRequest().ask("SIGTERM")

    with pytest.raises(ltcore.StoppedError, match="stopped by SIGTERM"):
        ltcore.load_plugins(Slow())


def test_a_stop_while_the_model_is_checked_is_a_stop(tmp_path):
    class SlowNet(PlainNet):
        name: ClassVar[str] = "slow_net"

        def build(self, num_classes, head):
            model = super().build(num_classes, head)
            model.register_forward_pre_hook(lambda *_: StopRequest().ask("SIGTERM"))
            return model

    class Plugin:
        @ltcore.hookimpl
        def ltcore_register_backbones(self):
            return [SlowNet]

    with pytest.raises(ltcore.StoppedError, match="stopped by SIGTERM"):
        ltcore.run({**SPEC, "backbone": "slow_net"}, out=tmp_path, plugins=[Plugin()])


def test_a_request_waits_while_training_and_else_stops_at_once():
    stop = StopRequest()
    with stop.waiting():
        stop.ask("somebody")
        assert stop.asked
    with pytest.raises(ltcore.StoppedError, match="stopped by somebody"):
        stop.refuse()
    with pytest.raises(ltcore.StoppedError), stop.waiting():
        pytest.fail("it began although it was to stop")
    with pytest.raises(ltcore.StoppedError, match="stopped by another"):
        StopRequest().ask("another")


def test_a_signal_during_an_import_waits_for_its_end(tmp_path, monkeypatch):
    (tmp_path / "slowly_imported.py").write_text(
        "import os, signal\n"
        "class Meddled:\n"
        "    def __init_subclass__(cls):\n"
        "        os.kill(os.getpid(), signal.SIGUSR1)\n"
        "class Inside(Meddled): pass\n"
        "ended = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with stop_on_signals() as stop:
        import slowly_imported

        assert slowly_imported.ended
        assert stop.asked
        with pytest.raises(ltcore.StoppedError, match="stopped by SIGUSR1"):
            stop.refuse()
        with pytest.raises(ltcore.StoppedError, match="stopped by SIGTERM"):
            os.kill(os.getpid(), signal.SIGTERM)


def hiding(kind):
    """As torch does while it loads weights."""
    with stop_on_signals():
        try:
            signal.raise_signal(signal.SIGTERM)
        except Exception as hidden:
            raise kind(f"while copying a parameter: {hidden}") from None


def failing(error, *, asked=False):
    with stop_on_signals() as stop:
        if asked:
            stop.ask("SIGTERM", at_once=False)
        raise error


@pytest.mark.parametrize("kind", [RuntimeError, ltcore.PluginError])
def test_a_stop_that_other_code_makes_an_error_of_its_own_is_a_stop(kind):
    with pytest.raises(ltcore.StoppedError, match="stopped by SIGTERM"):
        hiding(kind)


def test_other_errors_are_told_as_they_are():
    with pytest.raises(RuntimeError, match="by itself"):
        failing(RuntimeError("by itself"))
    with pytest.raises(ltcore.DataError, match="damaged"):
        failing(ltcore.DataError("damaged"), asked=True)
