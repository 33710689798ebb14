"""The ResNet-32 for CIFAR against the paper's figures and an independent, functional version."""

import pytest
import torch
import torch.nn.functional as F

from ltcore_backbones import ResNet32


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return ResNet32().build(10, "linear")


def functional_resnet32(state, images):
    """Written from the paper: 31 convolutions, each with batch norm over the batch, and a line."""

    def convolved(x, block, layer, stride=1):
        x = F.conv2d(x, state[f"{block}conv{layer}.weight"], stride=stride, padding=1)
        x = (x - x.mean((0, 2, 3), keepdim=True)) / torch.sqrt(
            x.var((0, 2, 3), keepdim=True, correction=0) + 1e-5
        )
        weight, bias = (state[f"{block}bn{layer}.{name}"] for name in ("weight", "bias"))
        return x * weight[:, None, None] + bias[:, None, None]

    x = convolved(images, "", 1).clamp(min=0)
    for stage in (1, 2, 3):
        for block in range(5):
            stride = 2 if stage > 1 and block == 0 else 1
            prefix = f"layer{stage}.{block}."
            y = convolved(convolved(x, prefix, 1, stride).clamp(min=0), prefix, 2)
            if stride == 2:
                subsampled = x[:, :, ::2, ::2]
                x = torch.zeros_like(y)
                quarter = y.shape[1] // 4
                x[:, quarter:-quarter] = subsampled
            x = (x + y).clamp(min=0)
    pooled = F.avg_pool2d(x, x.shape[-1]).flatten(1)
    return pooled @ state["linear.weight"].T + state["linear.bias"]


def test_resnet32_has_464154_parameters_for_ten_classes(model):
    assert sum(parameter.numel() for parameter in model.parameters()) == 464_154


def test_resnet32_has_32_layers_and_nothing_in_its_shortcuts(model):
    shapes = [parameter.dim() for parameter in model.parameters()]
    assert (shapes.count(4), shapes.count(2)) == (31, 1)


def test_resnet32_agrees_with_a_functional_version(model):
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    double = ResNet32().build(10, "linear").double()
    double.load_state_dict(model.state_dict())
    expected = functional_resnet32(double.state_dict(), images)
    torch.testing.assert_close(double(images), expected, rtol=1e-9, atol=1e-9)


def test_resnet32_convolutions_are_drawn_with_he_s_deviation(model):
    weight = model.layer3[2].conv1.weight
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


def test_resnet32_names_are_those_of_the_literature_s_code(model):
    names = list(model.state_dict())
    assert {"conv1.weight", "bn1.bias", "layer3.4.conv2.weight", "linear.weight"} <= set(names)
