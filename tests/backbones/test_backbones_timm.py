"""timm's models by name: which are taken, which are refused, and with what words."""

import pytest
import timm
import torch

import ltcore
from ltcore_backbones import Timm
from ltcore_backbones.timm_models import timm_config

CLASSES = 6
FAMILIES = ["test_resnet", "test_vit", "test_convnext", "test_efficientnet", "resnet10t"]


def refusal(**parameters):
    with torch.device("meta"), pytest.raises(ltcore.SpecError) as caught:
        Timm(**parameters).build(CLASSES, "linear")
    return str(caught.value)


@pytest.mark.parametrize("name", FAMILIES)
def test_small_models_of_all_kinds_classify(name):
    model = Timm(model=name, weights=None).build(CLASSES, "linear")
    size = timm_config(name).input_size[-1]
    logits = model(torch.randn(2, 3, size, size))
    assert logits.shape == (2, CLASSES)


def test_name_with_a_tag_needs_no_weights():
    model = Timm(model="test_vit.r160_in1k", weights=None).build(CLASSES, "linear")
    assert model.num_features == timm.create_model("test_vit").num_features


def test_backbone_weights_without_a_classifier_get_one():
    with torch.device("meta"):
        model = Timm(model="vit_base_patch16_224.mae", weights=None).build(CLASSES, "linear")
    assert timm_config("vit_base_patch16_224.mae").num_classes == 0
    assert model.head.weight.shape == (CLASSES, 768)


def test_unknown_model_is_refused_with_near_names():
    message = refusal(model="resnett18", weights=None)
    assert f"backbone.model: timm {timm.__version__} has no model 'resnett18'. Near:" in message
    assert "resnet18" in message


def test_unknown_model_without_near_names_is_refused():
    assert refusal(model="§", weights=None).endswith("has no model '§'.")


@pytest.mark.parametrize("model", ["hf-hub:timm/resnet18.a1_in1k", "local-dir:models/mine", ""])
def test_addresses_of_models_are_no_names(model):
    assert "has no model" in refusal(model=model)


def test_unknown_tag_is_refused_with_the_known_ones():
    message = refusal(model="resnet18.a9_in1k")
    assert "has no weights 'resnet18.a9_in1k'. Known: resnet18." in message


def test_bare_name_is_refused_with_the_tags_it_could_mean():
    message = refusal(model="resnet18")
    assert "'resnet18' names no weights" in message
    assert "resnet18.a1_in1k" in message


def test_model_without_published_weights_is_refused():
    name = next(
        name
        for name in timm.list_models(include_tags=True)
        if "." in name and not timm_config(name).has_weights and timm_config(name).classifier
    )
    assert f"timm has no weights for {name!r}. Known: " in refusal(model=name)


def test_tag_as_weights_is_refused():
    message = refusal(model="resnet18", weights="a1_in1k")
    assert "backbone.weights: 'a1_in1k' is neither 'pretrained' nor a file" in message


@pytest.mark.parametrize(
    "name", ["deit_tiny_distilled_patch16_224", "levit_128s", "crossvit_9_240", "volo_d1_224"]
)
def test_models_of_several_classifiers_are_refused(name):
    assert "and one is to be replaced" in refusal(model=name, weights=None)


@pytest.mark.parametrize("name", ["dla34", "dpn48b", "resnetv2_18"])
def test_models_that_end_in_a_convolution_are_refused(name):
    assert "Conv2d" in refusal(model=name, weights=None)


def test_weights_outside_of_the_hub_are_fetched_from_their_address(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    config = timm_config("legacy_seresnet18.in1k")
    state = Timm(model="legacy_seresnet18", weights=None).build(1000, "linear").state_dict()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / config.url.rpartition("/")[2])
    loaded = Timm(model="legacy_seresnet18.in1k").build(CLASSES, "linear").state_dict()
    assert torch.equal(loaded["layer0.conv1.weight"], state["layer0.conv1.weight"])
