"""The last layer: float32 under autocast, scaled cosines, and what is replaced by it."""

import pytest
import torch
from torch import nn

import ltcore


@pytest.fixture(params=["linear", "cosine"])
def head(request):
    torch.manual_seed(0)
    return ltcore.LinearHead(16, 5) if request.param == "linear" else ltcore.CosineHead(16, 5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_head_gives_float32_for_any_features(head, dtype):
    assert head(torch.randn(3, 16).to(dtype)).dtype == torch.float32


def test_head_computes_in_float32_under_autocast(head):
    features = torch.randn(3, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = head(features)
    assert torch.equal(logits, head(features))


def test_head_passes_its_gradient_through_bfloat16_features(head):
    features = torch.randn(3, 16, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        head(features).sum().backward()
    assert (features.grad.dtype, head.weight.grad.dtype) == (torch.bfloat16, torch.float32)


def test_head_gives_shapes_on_the_meta_device(head):
    assert head.to("meta")(torch.empty(3, 16, device="meta")).shape == (3, 5)


def test_head_compiles_in_one_piece(head):
    features = torch.randn(3, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        compiled = torch.compile(head, fullgraph=True, backend="eager")(features)
    assert torch.equal(compiled, head(features))


def test_linear_head_is_a_linear_layer():
    head = ltcore.LinearHead(16, 5)
    features = torch.randn(3, 16)
    torch.testing.assert_close(head(features), features @ head.weight.T + head.bias)


def test_cosine_head_gives_scaled_cosines():
    head = ltcore.CosineHead(16, 5, scale=10.0)
    features = torch.randn(3, 16)
    cosines = torch.cosine_similarity(features[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(features), 10.0 * cosines)


def test_cosine_head_reaches_the_scale_and_no_more():
    head = ltcore.CosineHead(16, 5, scale=10.0)
    logits = head(torch.cat([head.weight, -head.weight]).detach() * 1e3)
    assert logits.abs().max().item() == pytest.approx(10.0, rel=1e-5)


def test_cosine_head_ignores_the_length_of_features():
    head = ltcore.CosineHead(16, 5)
    features = torch.randn(3, 16)
    torch.testing.assert_close(head(features), head(1e-3 * features))


def test_cosine_head_ignores_the_length_of_class_vectors():
    head = ltcore.CosineHead(16, 5)
    features = torch.randn(3, 16)
    before = head(features)
    with torch.no_grad():
        head.weight.mul_(7)
    torch.testing.assert_close(head(features), before)


def test_cosine_head_is_finite_for_features_of_zero():
    assert torch.equal(ltcore.CosineHead(16, 5)(torch.zeros(2, 16)), torch.zeros(2, 5))


def test_cosine_head_starts_with_class_vectors_of_length_one():
    lengths = ltcore.CosineHead(512, 100).weight.norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(100))


def test_cosine_head_prints_its_sizes():
    assert "in_features=16, num_classes=5, scale=30.0" in repr(ltcore.CosineHead(16, 5))


def test_replace_head_returns_the_name_of_the_last_layer():
    model = nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.ReLU(), nn.Linear(8, 9)))
    assert ltcore.replace_head(model, 5, "linear") == "1.1"


def test_replace_head_keeps_every_other_layer():
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Dropout(0.3), nn.Linear(8, 9))
    before = list(model)
    ltcore.replace_head(model, 5, "linear")
    assert [layer is old for layer, old in zip(model, before, strict=True)] == [True] * 3 + [False]


def test_replace_head_looks_past_identity_dropout_and_flatten():
    model = nn.Sequential(nn.Linear(4, 9), nn.Dropout(0.3), nn.Flatten(), nn.Identity())
    ltcore.replace_head(model, 5, "linear")
    assert model(torch.randn(2, 4)).shape == (2, 5)


def test_replace_head_gives_the_cosine_head_its_scale():
    model = nn.Sequential(nn.Linear(4, 9))
    ltcore.replace_head(model, 5, "cosine", scale=12.0)
    assert (model[0].scale, model[0].weight.shape) == (12.0, (5, 4))


def test_replace_head_refuses_a_convolutional_classifier():
    model = nn.Sequential(nn.Linear(4, 4), nn.Conv2d(4, 9, 1))
    with pytest.raises(ltcore.SpecError, match=r"ends in 1 = Conv2d\(4, 9.*not in an nn.Linear"):
        ltcore.replace_head(model, 5, "linear")


def test_replace_head_refuses_probabilities():
    with pytest.raises(ltcore.SpecError, match=r"Sequential ends in 1 = Softmax"):
        ltcore.replace_head(nn.Sequential(nn.Linear(4, 9), nn.Softmax(1)), 5, "linear")


def test_replace_head_refuses_a_model_without_layers():
    with pytest.raises(ltcore.SpecError, match="Sequential has no layers"):
        ltcore.replace_head(nn.Sequential(), 5, "linear")
