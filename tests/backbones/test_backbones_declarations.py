"""What the plugin declares: names, defaults, parameters, statistics, and that it is light."""

import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

import ltcore_backbones
from ltcore_backbones import MobileNetV2, ResNet32, ResNet50, Timm, ViTB16

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
INCEPTION = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CIFAR = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))

OFFERED = {component.name: component for component in ltcore_backbones.ltcore_register_backbones()}


def test_plugin_offers_the_six_backbones():
    assert sorted(OFFERED) == [
        "convnext_base",
        "mobilenet_v2",
        "resnet32",
        "resnet50",
        "timm",
        "vit_b_16",
    ]


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("resnet50", "IMAGENET1K_V2"),
        ("mobilenet_v2", "IMAGENET1K_V1"),
        ("convnext_base", "IMAGENET1K_V1"),
        ("vit_b_16", "vit_base_patch16_224.augreg2_in21k_ft_in1k"),
        ("resnet32", None),
    ],
)
def test_default_weights_are_the_study_s(name, weights):
    assert OFFERED[name]().weights == weights


@pytest.mark.parametrize(("name", "size"), [("resnet50", 224), ("vit_b_16", 224), ("resnet32", 32)])
def test_input_size_is_what_the_network_was_made_for(name, size):
    assert OFFERED[name].input_size == size


def test_declaring_imports_neither_torch_nor_its_libraries():
    code = (
        "import sys, ltcore_backbones as b; b.ltcore_register_backbones(); b.ResNet50();"
        "b.Timm(model='x').model_json_schema();"
        "print({'torch', 'torchvision', 'timm', 'huggingface_hub'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


@pytest.mark.parametrize("name", sorted(OFFERED))
def test_every_parameter_is_described(name):
    for parameter in OFFERED[name].model_json_schema()["properties"].values():
        assert parameter["description"].endswith((".", "a1_in1k."))


@pytest.mark.parametrize("freeze", [-1, 1.5, True, "head", None])
def test_freeze_takes_a_count_or_backbone_only(freeze):
    with pytest.raises(ValidationError, match="freeze"):
        ResNet50(freeze=freeze)


@pytest.mark.parametrize("freeze", [0, 3, "backbone"])
def test_freeze_is_kept_as_given(freeze):
    assert ResNet50(freeze=freeze).freeze == freeze


def test_timm_needs_a_model():
    with pytest.raises(ValidationError, match="model"):
        Timm()


@pytest.mark.parametrize(
    ("component", "statistics"),
    [
        (ResNet50(), IMAGENET),
        (ResNet50(weights=None), IMAGENET),
        (MobileNetV2(weights="some/file.pt"), IMAGENET),
        (ViTB16(), INCEPTION),
        (ViTB16(weights=None), INCEPTION),
        (ViTB16(weights="some/file.safetensors"), INCEPTION),
        (ViTB16(weights="vit_base_patch16_224.mae"), IMAGENET),
        (ViTB16(weights="IMAGENET1K_V1"), IMAGENET),
        (ResNet32(), CIFAR),
        (Timm(model="resnet18.a1_in1k"), IMAGENET),
        (Timm(model="vit_tiny_patch16_224.augreg_in21k_ft_in1k"), INCEPTION),
        (Timm(model="vit_tiny_patch16_224", weights=None), INCEPTION),
    ],
    ids=lambda value: f"{value.name}-{value.weights}" if hasattr(value, "weights") else "",
)
def test_normalization_is_that_of_the_weights(component, statistics):
    assert component.normalization == statistics


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet50", 25_557_032),
        ("mobilenet_v2", 3_504_872),
        ("convnext_base", 88_591_464),
        ("vit_b_16", 86_567_656),
    ],
)
def test_parameter_count_is_the_published_one(name, count):
    with torch.device("meta"):
        model = OFFERED[name](weights=None).build(1000, "linear")
    assert sum(parameter.numel() for parameter in model.parameters()) == count
