"""The conformance checks as a whole: what they say and count; what ltcore ships passes them."""

from __future__ import annotations

from typing import ClassVar

import pydantic
import pytest
import torch
import torch.nn.functional as F

import ltcore
from ltcore.reporting.reporters import builtin_reporters
from ltcore.testing import (
    ConformanceError,
    check_backbone,
    check_dataset,
    check_loss,
    check_reporter,
)
from ltcore.testing.declarations import DECLARATION

INSTALLED = ltcore.load_plugins()


class Criterion(ltcore.PerSampleLoss):
    def per_sample(self, logits, labels):
        return F.cross_entropy(logits, labels, reduction="none")


class Sound(ltcore.Loss):
    """Cross-entropy."""

    name: ClassVar[str] = "sound"

    def build(self, classes):
        return Criterion()


class NameOfAnotherForm(Sound):
    """Not a name that a spec could hold."""

    name: ClassVar[str] = "Not-A-Name"


class UnknownHead(Sound):
    """A head that no backbone has."""

    head: ClassVar[str] = "conv"


class UnknownPrior(Sound):
    """A prior that reports do not know."""

    trained_prior: ClassVar[str] = "test"


class Undocumented(Sound):
    name: ClassVar[str] = "undocumented"


class WithSilentParameter(Sound):
    """A parameter is not described."""

    tau: float = 1.0


class WithRequiredParameter(Sound):
    """A parameter has no default."""

    tau: float = ltcore.Field(description="Of no use.")


class ForgetsParameter(Sound):
    """A parameter is left out when it is written."""

    tau: float = ltcore.Field(default=1.0, exclude=True, description="Of no use.")


class TakesAnything(Sound):
    """Misspelt parameters are ignored."""

    model_config = pydantic.ConfigDict(extra="ignore")


class Thawed(Sound):
    """Parameters can be changed."""

    model_config = pydantic.ConfigDict(frozen=False)


class Twofold(Sound):
    """Breaks two rules, of different stages."""

    tau: float = 1.0

    def build(self, classes):
        raise RuntimeError("no such thing")


BROKEN = [
    ("is_accepted_as_a_plugin", NameOfAnotherForm),
    ("is_accepted_as_a_plugin", UnknownHead),
    ("is_accepted_as_a_plugin", UnknownPrior),
    ("documents_itself", Undocumented),
    ("documents_itself", WithSilentParameter),
    ("refuses_unknown_parameters", TakesAnything),
    ("is_frozen", Thawed),
    ("parameters_survive_json", ForgetsParameter(tau=0.5)),
]


@pytest.mark.parametrize(("rule", "component"), BROKEN)
def test_broken_declaration_is_caught_by_the_rule_that_it_breaks(rule, component):
    with pytest.raises(ConformanceError) as caught:
        check_loss(component)
    assert caught.value.broken.keys() == {rule}


def test_every_rule_of_declarations_has_a_broken_component_here():
    rules = {rule for rule, _ in BROKEN} | {"declaring_imports_no_torch"}
    assert rules == {rule.__name__ for rule in DECLARATION}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that puts a module with an entry point on the path, as an installed plugin is."""

    def put(module, text):
        (tmp_path / f"{module}.py").write_text(text)
        information = tmp_path / f"{module}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n"
        )
        (information / "entry_points.txt").write_text(f"[ltcore]\nit = {module}\n")
        monkeypatch.syspath_prepend(tmp_path)
        return __import__(module)

    return put


DECLARING = """
import ltcore
{imports}

class Loss(ltcore.Loss):
    \"\"\"Cross-entropy.\"\"\"

    name = "one_more"

    def build(self, classes):
        from torch import nn
        return nn.CrossEntropyLoss()
"""


def test_plugin_that_imports_torch_when_it_is_loaded_is_caught(install):
    heavy = install("heavy_plugin_of_a_test", DECLARING.format(imports="import torch"))
    with pytest.raises(ConformanceError, match="importing heavy_plugin_of_a_test brings in torch"):
        check_loss(heavy.Loss, skip=["stays_finite_for_extreme_logits"])


def test_plugin_that_imports_torch_late_passes(install):
    light = install("light_plugin_of_a_test", DECLARING.format(imports=""))
    ran = check_loss(light.Loss, skip=["stays_finite_for_extreme_logits"])
    assert "declaring_imports_no_torch" in ran


def test_error_names_rule_finding_and_expectation_of_everything_broken():
    with pytest.raises(ConformanceError) as caught:
        check_loss(Twofold)
    assert str(caught.value).splitlines() == [
        "the loss Twofold(drw=None, tau=1.0) breaks 2 of the 6 rules looked at:",
        "  documents_itself: no description of tau",
        "    expected: The class has a docstring, and each parameter a description: its help.",
        "  builds_a_module: it raised RuntimeError: no such thing",
        "    expected: ``build(classes)`` gives an ``nn.Module``.",
    ]


def test_error_keeps_what_the_component_raised_as_its_cause():
    with pytest.raises(ConformanceError) as caught:
        check_loss(Twofold)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_error_is_a_failed_assertion_and_an_error_of_ltcore():
    assert issubclass(ConformanceError, AssertionError)
    assert issubclass(ConformanceError, ltcore.PluginError)


def test_rules_looked_at_are_returned_by_name_in_order():
    ran = check_loss(Sound)
    assert ran[:2] == ("is_accepted_as_a_plugin", "documents_itself")
    assert len(ran) == len(set(ran)) > 20


def test_skipped_rule_is_not_looked_at():
    assert "documents_itself" not in check_loss(Undocumented, skip=["documents_itself"])


def test_skip_that_names_no_rule_is_refused():
    with pytest.raises(
        ConformanceError, match=r"skip names no rule: document\. Known: is_accepted"
    ):
        check_loss(Sound, skip=["document"])


def test_check_of_nothing_is_never_green():
    with pytest.raises(ConformanceError, match="no rule was looked at, so nothing is known of it"):
        check_loss(Sound, skip=check_loss(Sound))


@pytest.mark.parametrize("check", [check_loss, check_backbone, check_dataset, check_reporter])
def test_something_of_another_kind_is_refused(check):
    with pytest.raises(ConformanceError, match=r"None is neither a subclass of ltcore\.\w+ nor"):
        check(None)


def test_class_with_a_required_parameter_asks_for_an_instance():
    with pytest.raises(ConformanceError, match="WithRequiredParameter cannot .* pass an instance"):
        check_loss(WithRequiredParameter)


def test_instance_with_a_required_parameter_is_checked():
    assert check_loss(WithRequiredParameter(tau=1.0))


def test_class_counts_can_be_chosen():
    assert check_loss(Sound, class_counts=[7, 5])


def test_check_leaves_the_global_random_state_as_it_was():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    check_loss(Sound)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("offer", INSTALLED.of_kind("loss"), ids=lambda offer: offer.name)
def test_installed_loss_passes(offer):
    assert "declaring_imports_no_torch" in check_loss(offer.component)


def test_installed_losses_are_at_least_the_seven():
    assert len(INSTALLED.of_kind("loss")) >= 7


@pytest.mark.parametrize(
    ("name", "parameters", "size"),
    [
        ("resnet32", {}, None),
        ("mobilenet_v2", {"weights": None}, 32),
        ("resnet32", {"freeze": 2}, 8),
        ("timm", {"model": "test_vit", "weights": None}, None),
    ],
)
def test_installed_backbone_passes(name, parameters, size):
    component = INSTALLED.find("backbone", name).component(**parameters)
    assert "declaring_imports_no_torch" in check_backbone(component, size=size)


def test_synthetic_data_set_passes():
    component = INSTALLED.find("dataset", "synthetic").component(per_class=30, test_per_class=9)
    assert "declaring_imports_no_torch" in check_dataset(component)


@pytest.mark.parametrize("reporter", builtin_reporters().values(), ids=lambda r: r.name)
def test_builtin_reporter_passes(reporter):
    # a plugin could not offer it: the name is ltcore's own
    assert check_reporter(reporter, skip=["is_accepted_as_a_plugin"])
