"""Every registered backbone: one step at its own size, both heads, precision and determinism."""

import copy

import pytest
import torch

import ltcore
import ltcore_backbones
from ltcore_backbones import MobileNetV2, ResNet32, Timm, ViTB16
from ltcore_backbones.adaptation import Adaptation
from ltcore_backbones.torchvision_models import build_torchvision

CLASSES = 7
REQUIRED = {"timm": {"model": "test_resnet"}}
COMPONENTS = {
    component.name: component(weights=None, **REQUIRED.get(component.name, {}))
    for component in ltcore_backbones.ltcore_register_backbones()
}
SMALL = {
    "resnet32": (ResNet32(), 32),
    "test_resnet": (Timm(model="test_resnet", weights=None), 64),
    "test_vit": (Timm(model="test_vit", weights=None), 160),
}


@pytest.fixture(scope="module", params=sorted(COMPONENTS))
def step(request):
    """A model after one backward pass over two images of its own size, and its logits."""
    torch.manual_seed(0)
    component = COMPONENTS[request.param]
    model = component.build(CLASSES, "linear")
    logits = model(torch.randn(2, 3, component.input_size, component.input_size))
    logits.logsumexp(1).sum().backward()
    return model, logits.detach()


@pytest.fixture(params=sorted(SMALL))
def small(request):
    return SMALL[request.param]


def test_logits_are_float32_of_images_by_classes(step):
    _, logits = step
    assert (logits.shape, logits.dtype) == ((2, CLASSES), torch.float32)


def test_logits_are_finite(step):
    _, logits = step
    assert logits.isfinite().all()


def test_every_parameter_gets_a_finite_gradient(step):
    model, _ = step
    wrong = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.isfinite().all()
    ]
    assert wrong == []


def test_last_layer_is_ltcore_s(step):
    model, _ = step
    heads = [m for m in model.modules() if isinstance(m, (ltcore.LinearHead, ltcore.CosineHead))]
    assert [type(head) for head in heads] == [ltcore.LinearHead]


def test_model_is_built_in_train_mode(step):
    model, _ = step
    assert all(module.training for module in model.modules())


def test_model_can_be_copied(step):
    model, _ = step
    copied = copy.deepcopy(model)
    assert copied.state_dict().keys() == model.state_dict().keys()


def test_cosine_logits_stay_within_the_scale(small):
    component, size = small
    component = component.model_copy(update={"head_scale": 4.0})
    logits = component.build(CLASSES, "cosine")(torch.randn(2, 3, size, size))
    assert 0 < logits.abs().max() <= 4.0 + 1e-5


def test_cosine_head_has_no_bias(small):
    linear, cosine = (small[0].build(CLASSES, head) for head in ("linear", "cosine"))
    assert len(list(linear.parameters())) - len(list(cosine.parameters())) == 1


@pytest.mark.parametrize("head", ["linear", "cosine"])
def test_logits_are_float32_under_bfloat16_autocast(small, head):
    component, size = small
    model = component.build(CLASSES, head).eval()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(torch.randn(2, 3, size, size))
    assert logits.dtype == torch.float32


def test_logits_do_not_tie_under_bfloat16_autocast():
    model = ResNet32().build(1000, "linear").eval()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(torch.randn(1, 3, 32, 32))
    assert len(logits.unique()) > 990


@pytest.mark.parametrize(
    "component", [ResNet32(), MobileNetV2(weights=None), SMALL["test_vit"][0]], ids=lambda c: c.name
)
def test_one_seed_gives_one_model(component):
    models = []
    for _ in range(2):
        torch.manual_seed(3)
        models.append(component.build(CLASSES, "cosine").state_dict())
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


def test_another_seed_gives_another_model():
    models = []
    for seed in range(2):
        torch.manual_seed(seed)
        models.append(ResNet32().build(CLASSES, "linear").conv1.weight)
    assert not torch.equal(*models)


def test_dropout_before_the_head_stays():
    with torch.device("meta"):
        model = MobileNetV2(weights=None).build(CLASSES, "linear")
    assert isinstance(model.classifier[0], torch.nn.Dropout)


@pytest.mark.parametrize(
    "build",
    [
        lambda: ViTB16(weights=None).build(CLASSES, "linear"),
        lambda: build_torchvision("vit_b_16", None, Adaptation(CLASSES, "linear", 30.0, 0)),
        lambda: Timm(model="vit_tiny_patch16_224", weights=None).build(CLASSES, "linear"),
    ],
    ids=["timm", "torchvision", "generic"],
)
def test_vit_refuses_another_size_and_names_its_own(build):
    with torch.device("meta"):
        model = build()
        with pytest.raises(AssertionError, match="224"):
            model(torch.empty(1, 3, 32, 32))


def test_vit_b_16_is_timm_s_without_weights():
    with torch.device("meta"):
        assert hasattr(ViTB16(weights=None).build(CLASSES, "linear"), "patch_embed")


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2", "convnext_base", "resnet32"])
def test_convolutional_backbones_take_other_sizes(name):
    with torch.device("meta"):
        model = COMPONENTS[name].build(CLASSES, "linear")
        assert model(torch.empty(2, 3, 48, 40)).shape == (2, CLASSES)
