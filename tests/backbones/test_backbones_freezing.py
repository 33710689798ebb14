"""Frozen stages: no gradient, the same statistics, the same names, and a head that learns."""

import copy

import pytest
import torch
from torch import nn

import ltcore
import ltcore_backbones
from ltcore_backbones import MobileNetV2, ResNet32, ResNet50, Timm
from ltcore_backbones.adaptation import Adaptation
from ltcore_backbones.torchvision_models import build_torchvision

REQUIRED = {"timm": {"model": "test_resnet"}}
BACKBONES = {
    component.name: component for component in ltcore_backbones.ltcore_register_backbones()
}
STAGES = {
    "resnet50": 5,
    "mobilenet_v2": 19,
    "convnext_base": 8,
    "vit_b_16": 13,
    "resnet32": 4,
    "timm": 5,
}
FIRST_STAGE = {
    "resnet50": {"conv1", "bn1"},
    "mobilenet_v2": {"features.0"},
    "convnext_base": {"features.0"},
    "vit_b_16": {"cls_token", "pos_embed", "patch_embed"},
    "resnet32": {"conv1", "bn1"},
    "timm": {"conv1", "bn1"},
}


def component(name, **parameters):
    return BACKBONES[name](weights=None, **REQUIRED.get(name, {}), **parameters)


def built(name, freeze):
    """On the meta device, where a model of any size is made at once."""
    with torch.device("meta"):
        return component(name, freeze=freeze).build(7, "linear")


def frozen(model):
    return {name for name, p in model.named_parameters() if not p.requires_grad}


def train_step(model, size):
    """One step of SGD, with weight decay."""
    torch.manual_seed(1)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    logits = model(torch.randn(4, 3, size, size))
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()
    optimizer.step()


@pytest.fixture(
    scope="module",
    params=[
        (ResNet50(weights=None, freeze=3), 32),
        (MobileNetV2(weights=None, freeze=7), 32),
        (ResNet32(freeze=2), 32),
        (Timm(model="test_resnet", weights=None, freeze=2), 32),
        (Timm(model="test_vit", weights=None, freeze=2), 160),
        (Timm(model="test_convnext", weights=None, freeze="backbone"), 64),
        (ResNet32(freeze="backbone"), 32),
    ],
    ids=lambda case: f"{case[0].name}-{getattr(case[0], 'model', '')}-{case[0].freeze}",
)
def trained(request):
    """A frozen model before and after a step of training."""
    backbone, size = request.param
    torch.manual_seed(0)
    model = backbone.build(7, "linear")
    before = copy.deepcopy(model.state_dict())
    train_step(model, size)
    return model, before


def test_frozen_parameters_get_no_gradient(trained):
    model, _ = trained
    assert all((p.grad is None) == (not p.requires_grad) for p in model.parameters())


def test_frozen_parameters_and_statistics_stay(trained):
    model, before = trained
    after = model.state_dict()
    names = frozen(model)
    modules = {name.rpartition(".")[0] for name in names}
    kept = [n for n in after if n in names or n.rpartition(".")[0] in modules]
    assert kept
    assert [n for n in kept if not torch.equal(after[n], before[n])] == []


def test_head_is_trained(trained):
    model, before = trained
    name, head = next(
        (name, m) for name, m in model.named_modules() if isinstance(m, ltcore.LinearHead)
    )
    assert not torch.equal(head.weight, before[f"{name}.weight"])


def test_batch_norm_of_other_stages_follows_the_batch(trained):
    model, _ = trained
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(norm.num_batches_tracked == norm.weight.requires_grad for norm in norms)


def test_frozen_modules_stay_in_eval_mode_when_training():
    model = ResNet32(freeze=2).build(7, "linear")
    model.eval().train()
    modes = {name: module.training for name, module in model.named_children()}
    assert modes == {
        "conv1": False,
        "bn1": False,
        "layer1": False,
        "layer2": True,
        "layer3": True,
        "linear": True,
    }


def test_frozen_modules_are_in_eval_mode_from_the_start():
    assert not ResNet32(freeze=1).build(7, "linear").bn1.training


def test_model_with_frozen_stages_can_be_put_into_eval_mode_as_a_whole():
    model = ResNet32(freeze=2).build(7, "linear").eval()
    assert not any(module.training for module in model.modules())


def test_dropout_before_the_head_stays_active_when_all_else_is_frozen():
    model = built("mobilenet_v2", "backbone").train()
    assert (model.classifier[0].training, model.features.training) == (True, False)


def test_frozen_stages_stay_frozen_in_a_copy():
    model = copy.deepcopy(ResNet32(freeze=2).build(7, "linear")).train()
    assert (model.bn1.training, model.layer3.training) == (False, True)


def test_frozen_stages_stay_frozen_inside_another_module():
    inner = ResNet32(freeze=2).build(7, "linear")
    nn.Sequential(inner).train()
    assert (inner.bn1.training, inner.layer3.training) == (False, True)


def test_frozen_stages_stay_frozen_when_batch_norm_is_synchronised():
    model = ResNet32(freeze=2).build(7, "linear")
    model = nn.SyncBatchNorm.convert_sync_batchnorm(model).train()
    assert isinstance(model.bn1, nn.SyncBatchNorm)
    assert (model.bn1.training, model.bn1.weight.requires_grad) == (False, False)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_freezing_leaves_the_names_of_the_state_dict(name):
    assert list(built(name, 2).state_dict()) == list(built(name, 0).state_dict())


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_freezing_leaves_the_name_of_the_class(name):
    assert type(built(name, 2)).__name__ == type(built(name, 0)).__name__


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_nothing_is_frozen_by_default(name):
    assert frozen(built(name, 0)) == set()


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_first_stage_is_the_stem(name):
    model = built(name, 1)
    stem = {
        parameter
        for parameter, _ in model.named_parameters()
        if any(parameter == part or parameter.startswith(f"{part}.") for part in FIRST_STAGE[name])
    }
    assert frozen(model) == stem


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_each_stage_freezes_more(name):
    counts = [len(frozen(built(name, freeze))) for freeze in (0, 1, 2, STAGES[name])]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_all_stages_are_everything_but_the_head(name):
    assert frozen(built(name, STAGES[name])) == frozen(built(name, "backbone"))


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_backbone_leaves_the_head_alone_trainable(name):
    model = built(name, "backbone")
    head = next(m for m in model.modules() if isinstance(m, ltcore.LinearHead))
    assert [p.shape for p in model.parameters() if p.requires_grad] == [
        p.shape for p in head.parameters()
    ]


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_too_many_stages_are_refused_with_their_number(name):
    stages = STAGES[name]
    with pytest.raises(ltcore.SpecError) as caught:
        built(name, stages + 1)
    assert f"backbone.freeze: {stages + 1} is too many" in str(caught.value)
    assert f"has {stages} stages" in str(caught.value)


def test_model_that_timm_has_not_divided_can_be_frozen_as_a_whole():
    with torch.device("meta"):
        undivided = Timm(model="pit_ti_224", weights=None, freeze="backbone")
        assert len(frozen(undivided.build(7, "linear"))) > 0


def test_model_that_timm_has_not_divided_has_no_stages():
    with (
        torch.device("meta"),
        pytest.raises(ltcore.SpecError, match=r"has 0 stages that can be frozen; 'backbone'"),
    ):
        Timm(model="pit_ti_224", weights=None, freeze=1).build(7, "linear")


def torchvision_vit(freeze):
    with torch.device("meta"):
        return build_torchvision("vit_b_16", None, Adaptation(7, "linear", 30.0, freeze))


def test_torchvision_s_vit_freezes_its_embeddings_first():
    assert frozen(torchvision_vit(1)) == {
        "class_token",
        "conv_proj.weight",
        "conv_proj.bias",
        "encoder.pos_embedding",
    }


def test_torchvision_s_vit_is_divided_like_timm_s():
    assert frozen(torchvision_vit(STAGES["vit_b_16"])) == frozen(torchvision_vit("backbone"))
