"""Finding plugins, checking what they hand over, and saying what is wrong; one harms no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ltcore
from ltcore.offers import Fault, Source
from ltcore.plugins import Catalogue, load_plugins

LOSS = '''
from typing import ClassVar
import ltcore

class MyLoss(ltcore.Loss):
    """A loss."""
    name: ClassVar[str] = "{name}"
    def build(self, classes):
        raise NotImplementedError

@ltcore.hookimpl
def ltcore_register_losses():
    return [MyLoss]
'''
GOOD = LOSS.format(name="good_loss")

HEAD = """
from typing import ClassVar
import ltcore

class Sound(ltcore.Loss):
    name: ClassVar[str] = "sound"
    def build(self, classes):
        raise NotImplementedError
"""


def hook(body: str, kind: str = "losses") -> str:
    return f"{HEAD}\n@ltcore.hookimpl\ndef ltcore_register_{kind}():\n    {body}\n"


def loss(body: str) -> str:
    """A plugin of one loss class with this body."""
    return f"{HEAD}\nclass Mine(Sound):\n    {body}\n" + hook("return [Mine]").removeprefix(HEAD)


@pytest.fixture
def faults_of(install):
    """What is told of a plugin with the given code, another one being sound."""

    def faults_of(code: str, **arguments) -> list[str]:
        install("good-plugin", GOOD)
        install("bad-plugin", code, version="0.3", **arguments)
        catalogue = load_plugins()
        assert catalogue.find("loss", "good_loss").source == Source("good-plugin", "1.0")
        assert {fault.source for fault in catalogue.faults} <= {Source("bad-plugin", "0.3")}
        return [fault.cause for fault in catalogue.faults]

    return faults_of


def message(catalogue: Catalogue, kind, reference) -> str:
    with pytest.raises(ltcore.PluginError) as caught:
        catalogue.find(kind, reference)
    return str(caught.value)


def test_an_installed_plugin_is_found_through_its_entry_point(install):
    install("my-plugin", LOSS.format(name="mine"), version="0.2")
    catalogue = load_plugins()
    offer = catalogue.find("loss", "mine")
    assert offer.source == Source("my-plugin", "0.2")
    assert offer.full_name == "my-plugin:mine"
    assert offer.component.name == "mine"
    assert catalogue.faults == ()
    assert [str(plugin.source) for plugin in catalogue.plugins] == ["my-plugin 0.2"]


def test_a_plugin_passed_by_hand_is_called_after_its_class_or_module(catalogue, install):
    assert catalogue.find("loss", "toy_loss").source == Source("Toys")
    install("by-hand", LOSS.format(name="mine"), points="")
    import by_hand

    assert load_plugins(by_hand).find("loss", "mine").source == Source("by_hand")


def test_a_plugin_that_is_installed_and_passed_by_hand_counts_once(install):
    install("my-plugin", GOOD)
    import my_plugin

    catalogue = load_plugins(my_plugin)
    assert catalogue.find("loss", "good_loss").source == Source("my-plugin", "1.0")
    assert len(catalogue.plugins) == 1


def test_two_entry_points_to_one_module_count_once(install):
    install("my-plugin", GOOD, points="[ltcore]\na = my_plugin\nb = my_plugin\n")
    assert len(load_plugins().plugins) == 1
    assert load_plugins().faults == ()


def test_each_catalogue_is_fresh(toys, install):
    assert load_plugins(toys).of_kind("loss")
    assert load_plugins().of_kind("loss") == ()


def test_the_built_in_reporters_are_always_there(install):
    offers = load_plugins().of_kind("reporter")
    assert {"table", "json"} <= {offer.name for offer in offers}
    assert {offer.source.distribution for offer in offers} == {"ltcore"}


def test_offers_come_by_kind_and_name(toys, install):
    install("z-plugin", LOSS.format(name="aaa"))
    install("a-plugin", LOSS.format(name="zzz"))
    offers = [o for o in load_plugins(toys).offers if o.kind != "reporter"]
    assert [(offer.kind, offer.name) for offer in offers] == [
        ("dataset", "toy_data"),
        ("backbone", "toy_net"),
        ("loss", "aaa"),
        ("loss", "toy_loss"),
        ("loss", "zzz"),
    ]


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise ImportError('no\\n  such \\x1b[31m')", "ImportError: no such \\x1b[31m"),
        ("import sys; sys.exit('gone')", "SystemExit: gone"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def broken(:", "SyntaxError: invalid syntax (bad_plugin.py, line 1)"),
        ("x = 1", "it implements none of ltcore's hooks (@ltcore.hookimpl)"),
        (
            f"{HEAD}\n@ltcore.hookimpl\ndef ltcore_register_loses():\n    return [Sound]",
            "ltcore_register_loses is no hook of ltcore. Did you mean 'ltcore_register_losses'?",
        ),
        (
            f"{HEAD}\ndef ltcore_register_losses():\n    return [Sound]",
            "ltcore_register_losses lacks @ltcore.hookimpl",
        ),
        (
            f"{HEAD}\n@ltcore.hookimpl\ndef ltcore_register_losses(extra):\n    return [Sound]",
            (
                "PluginValidationError: Plugin 'bad_plugin' for hook 'ltcore_register_losses' "
                "hookimpl definition: ltcore_register_losses(extra) Argument(s) {'extra'} are "
                "declared in the hookimpl but can not be found in the hookspec"
            ),
        ),
        (hook("1 / 0"), "ltcore_register_losses raised ZeroDivisionError: division by zero"),
        (hook("raise SystemExit(3)"), "ltcore_register_losses raised SystemExit: 3"),
        (hook("return None"), "ltcore_register_losses returned None, not a list of classes"),
        (
            hook("return Sound"),
            (
                "ltcore_register_losses returned something of type ModelMetaclass, "
                "not a list of classes"
            ),
        ),
        (
            hook("yield Sound"),
            "ltcore_register_losses returned something of type generator, not a list of classes",
        ),
        (
            hook("return [Sound()]"),
            "ltcore_register_losses: a component is a class, this is of type Sound",
        ),
        (
            hook("return [None]"),
            "ltcore_register_losses: a component is a class, this is of type NoneType",
        ),
        (hook("return [dict]"), "ltcore_register_losses: dict is no subclass of ltcore.Loss"),
        (
            hook("return [Sound]", "datasets"),
            "ltcore_register_datasets: Sound is no subclass of ltcore.Dataset",
        ),
        (
            f"{HEAD}\nclass Mine(ltcore.Loss):\n    name: ClassVar[str] = 'mine'\n"
            + hook("return [Mine]").removeprefix(HEAD),
            "ltcore_register_losses: Mine does not implement build",
        ),
        (
            hook("return [ltcore.Loss]"),
            (
                "ltcore_register_losses: Loss.name is None; it must be lower-case letters, digits "
                "and underscores, at most 50, starting with a letter"
            ),
        ),
        (
            loss("name: str = 'mine'").replace("Mine(Sound)", "Mine(ltcore.Loss)"),
            "ltcore_register_losses: Mine.name is a parameter; declare it as name: ClassVar[str]",
        ),
        *(
            (
                loss(f"name: ClassVar[str] = {name!r}"),
                (
                    f"ltcore_register_losses: Mine.name is {name!r}; it must be lower-case "
                    "letters, digits and underscores, at most 50, starting with a letter"
                ),
            )
            for name in ("My-Loss", "", "../x", "1st", "a:b", "a\n", "x" * 51, 5)
        ),
        (
            loss("head: ClassVar[str] = 'cosin'"),
            "ltcore_register_losses: Mine.head is 'cosin'; it must be 'linear' or 'cosine'",
        ),
        (
            loss("trained_prior: ClassVar[str] = 'none'"),
            (
                "ltcore_register_losses: Mine.trained_prior is 'none'; "
                "it must be 'train' or 'uniform'"
            ),
        ),
    ],
)
def test_a_bad_plugin_is_remembered_with_its_cause_and_harms_no_other(faults_of, code, cause):
    assert faults_of(code) == [cause]


@pytest.mark.parametrize(
    ("points", "cause"),
    [
        (
            "[ltcore]\nx = bad_plugin:lost\n",
            "AttributeError: module 'bad_plugin' has no attribute 'lost'",
        ),
        ("[ltcore]\nx = lost\n", "ModuleNotFoundError: No module named 'lost'"),
        ("[ltcore]\nx = bad_plugin:nothing\n", "it implements none of ltcore's hooks"),
        ("[ltcore]\nx = bad plugin !\n", "AttributeError: "),
        ("[ltcore]\nno equals sign\n", "its entry points cannot be read: TypeError: "),
    ],
)
def test_a_bad_entry_point_is_remembered_and_harms_no_other(faults_of, points, cause):
    (found,) = faults_of("nothing = None", points=points)
    assert found.startswith(cause)


def test_a_distribution_that_is_not_text_harms_no_other(install, tmp_path):
    install("good-plugin", GOOD)
    broken = tmp_path / "site" / "broken-1.0.dist-info"
    broken.mkdir()
    (broken / "entry_points.txt").write_bytes(b"[ltcore]\nx = \xff\xfe\n")
    catalogue = load_plugins()
    assert catalogue.find("loss", "good_loss")
    (fault,) = catalogue.faults
    assert fault.cause.startswith("its entry points cannot be read: UnicodeDecodeError: ")


def test_what_else_a_bad_plugin_offers_stays(install):
    install("half", hook("return [dict, Sound]"))
    catalogue = load_plugins()
    assert catalogue.find("loss", "sound")
    assert len(catalogue.faults) == 1


def test_a_bad_hook_leaves_the_plugin_s_other_hooks(install):
    install("half", hook("1 / 0", "datasets") + hook("return [Sound]").removeprefix(HEAD))
    catalogue = load_plugins()
    assert catalogue.find("loss", "sound")
    assert [fault.cause for fault in catalogue.faults] == [
        "ltcore_register_datasets raised ZeroDivisionError: division by zero"
    ]


@pytest.mark.parametrize("name", ["table", "markdown", "latex", "csv", "json", "html"])
def test_the_built_in_reporters_names_are_reserved(faults_of, name):
    code = f"""
from typing import ClassVar
import ltcore

class Mine(ltcore.Reporter):
    name: ClassVar[str] = "{name}"
    suffix: ClassVar[str] = ".txt"
    def render(self, comparison):
        return ""

@ltcore.hookimpl
def ltcore_register_reporters():
    return [Mine]
"""
    assert faults_of(code) == [
        f"ltcore_register_reporters: Mine.name is {name!r}, which ltcore itself uses"
    ]


@pytest.mark.parametrize(
    ("suffix", "shown"), [("", "None"), ("suffix: ClassVar[str] = 'md'", "'md'")]
)
def test_a_reporter_needs_a_suffix(faults_of, suffix, shown):
    code = f"""
from typing import ClassVar
import ltcore

class Mine(ltcore.Reporter):
    name: ClassVar[str] = "mine"
    {suffix}
    def render(self, comparison):
        return ""

@ltcore.hookimpl
def ltcore_register_reporters():
    return [Mine]
"""
    assert faults_of(code) == [
        f"ltcore_register_reporters: Mine.suffix is {shown}; it must be a string like '.txt'"
    ]


def test_one_name_from_two_distributions_is_an_error_that_names_both(install):
    install("one", LOSS.format(name="mine"), version="0.1")
    install("Two_2", LOSS.format(name="mine"), version="0.2")
    catalogue = load_plugins()
    assert catalogue.faults == ()
    assert message(catalogue, "loss", "mine") == (
        "Two_2 0.2 and one 0.1 each offer a loss called 'mine'. "
        "Write 'Two_2:mine' or 'one:mine' to choose one, or uninstall the other."
    )
    assert catalogue.find("loss", "one:mine").source == Source("one", "0.1")
    for reference in ("Two_2:mine", "two-2:mine", "TWO.2:mine"):
        assert catalogue.find("loss", reference).source == Source("Two_2", "0.2")


def test_one_name_of_two_kinds_is_no_clash(toys, install):
    install("my-plugin", LOSS.format(name="toy_data"))
    catalogue = load_plugins(toys)
    assert catalogue.find("loss", "toy_data").kind == "loss"
    assert catalogue.find("dataset", "toy_data").kind == "dataset"


def test_what_one_plugin_offers_twice_under_one_name_is_not_used(faults_of):
    code = hook("return [Sound, Sound, Other]").replace(
        "\n@ltcore", "\nclass Other(Sound):\n    pass\n@ltcore"
    )
    assert faults_of(code) == ["it offers 2 loss classes called 'sound', so none is used"]


def test_two_entry_points_of_one_distribution_may_not_share_a_name(install, tmp_path):
    points = "[ltcore]\na = my_plugin\nb = my_plugin_b\n"
    install("my-plugin", LOSS.format(name="mine"), points=points)
    (tmp_path / "site" / "my_plugin_b.py").write_text(LOSS.format(name="mine"))
    catalogue = load_plugins()
    assert [fault.cause for fault in catalogue.faults] == [
        "it offers 2 loss classes called 'mine', so none is used"
    ]
    assert "no loss is called 'mine'" in message(catalogue, "loss", "mine")


def test_one_class_handed_over_twice_is_one_offer(install):
    install("my-plugin", hook("return [Sound, Sound]"))
    catalogue = load_plugins()
    assert catalogue.find("loss", "sound")
    assert catalogue.faults == ()


def test_an_unknown_name_is_told_with_what_is_there_and_what_is_not(install, toys):
    install("foo", LOSS.format(name="focal"), version="0.1")
    install("bar", "import lost", version="0.3")
    assert message(load_plugins(toys), "loss", "focl").splitlines() == [
        "no loss is called 'focl'. Did you mean 'focal'?",
        "  Installed: toy_loss (Toys)",
        "  Installed: focal (foo 0.1)",
        "  Not loaded: bar 0.3 (ModuleNotFoundError: No module named 'lost')",
        "  To mend what was not loaded: pip install --upgrade bar",
        "  To install ltcore's own: pip install ltcore-losses",
    ]


def test_a_shipped_plugin_that_is_broken_is_to_be_mended_not_installed(install):
    install("ltcore-losses", "", points="[ltcore]\nlosses = lost\n")
    assert message(load_plugins(), "loss", "focal").splitlines() == [
        "no loss is called 'focal'.",
        "  Not loaded: ltcore-losses 1.0 (ModuleNotFoundError: No module named 'lost')",
        "  To mend what was not loaded: pip install --upgrade ltcore-losses",
    ]


def test_an_unknown_distribution_is_told_with_the_full_names(install):
    install("foo", LOSS.format(name="focal"))
    found = message(load_plugins(), "loss", "fooo:focal")
    assert found.startswith("no loss is called 'fooo:focal'. Did you mean 'foo:focal'?\n")


def test_an_unknown_reporter_is_none_of_a_plugin_to_install(install):
    lines = message(load_plugins(), "reporter", "jsno").splitlines()
    assert lines[0] == "no reporter is called 'jsno'. Did you mean 'json'?"
    assert len(lines) == 2
    assert lines[1].startswith("  Installed: ")


def test_a_name_is_escaped_in_the_message(install):
    assert "\x1b" not in message(load_plugins(), "loss", "\x1b[31m")


def test_what_a_plugin_prints_is_kept_from_stdout(install, capsys):
    install("chatty", "print('imported')\n" + hook("print('asked'); return [Sound]"))
    assert load_plugins().find("loss", "sound")
    assert capsys.readouterr() == ("", "imported\nasked\n")


def test_a_plugin_that_brings_in_torch_is_marked(install, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    (torch := Path(sys.path[0]) / "torch.py").write_text("")  # stands for seconds of importing
    install("light", LOSS.format(name="light"))
    install("quick", hook("import torch; return [Sound]"))
    marked = load_plugins().import_torch
    del sys.modules["torch"]
    assert marked == {Source("quick", "1.0")}
    install("sinking", "import torch\n1 / 0")
    (Path(sys.path[0]) / "quick.py").write_text(GOOD)
    del sys.modules["quick"]
    assert load_plugins().import_torch == {Source("sinking", "1.0")}
    assert torch.exists()


def test_listeners_are_added_after_the_plugins(catalogue):
    class Listener:
        @ltcore.hookimpl
        def ltcore_run_finished(self, results):
            pass

    with_listener = catalogue.with_listeners(Listener())
    assert [str(plugin.source) for plugin in with_listener.plugins] == ["Toys", "Listener"]
    assert len(catalogue.plugins) == 1


def test_an_object_that_is_no_listener_is_refused(catalogue):
    class Misspelt:
        @ltcore.hookimpl
        def ltcore_run_finish(self, results):
            pass

    with pytest.raises(ltcore.PluginError) as caught:
        catalogue.with_listeners(Misspelt())
    assert str(caught.value) == (
        "Misspelt: ltcore_run_finish is no hook of ltcore. Did you mean 'ltcore_run_finished'?"
    )
    with pytest.raises(ltcore.PluginError, match="^str: it implements none of ltcore's hooks"):
        catalogue.with_listeners("listener")


def test_a_class_instead_of_an_object_is_remembered(install):
    class Plugin:
        @ltcore.hookimpl
        def ltcore_register_losses(self):
            return []

    (fault,) = load_plugins(Plugin).faults
    assert isinstance(fault, Fault)
    assert str(fault.source) == "Plugin"
    assert fault.cause.endswith("missing 1 required positional argument: 'self'")


def test_the_command_lists_a_broken_plugin_and_its_print_spoils_no_json(install, tmp_path):
    install("chatty", "print('hello')\n" + LOSS.format(name="chatty"))
    install("broken", "print('hello'); import lost", version="0.3")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-m", "ltcore", "plugins", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    rows = {row["distribution"]: row for row in json.loads(done.stdout)}
    assert rows["chatty"]["state"] == "ok"
    assert rows["broken"]["state"] == "broken"
    assert rows["broken"]["version"] == "0.3"
    assert rows["broken"]["cause"] == "ModuleNotFoundError: No module named 'lost'"
    assert done.stderr.count("hello") == 2
