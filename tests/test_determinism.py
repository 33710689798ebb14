"""`training.deterministic`: PyTorch's own switch, put back afterwards, and what it refuses."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn

import ltcore
from ltcore.running.devices import deterministic_algorithms
from tests.interrupted_runs import SPEC, Plugin, SmallNet, run, what_is_left


class Unpooling(SmallNet):
    """A model with an operation for which PyTorch has no deterministic algorithm."""

    name: ClassVar[str] = "unpooling"

    def build(self, num_classes, head):
        class Unpool(nn.Module):
            def forward(self, images):
                pooled, where = nn.functional.max_pool2d(images, 2, return_indices=True)
                return nn.functional.max_unpool2d(pooled, where, 2)

        return nn.Sequential(Unpool(), *super().build(num_classes, head))


class UnpoolingLoss(ltcore.Loss):
    """A loss with an operation that has no deterministic algorithm."""

    name: ClassVar[str] = "unpooling_loss"

    def build(self, classes):
        class Module(nn.Module):
            def forward(self, logits, labels):
                unpooled = nn.functional.max_unpool1d(logits[:, None], logits[:, None].long(), 1)
                return unpooled.sum()

        return Module()


class Unpools:
    @ltcore.hookimpl
    def ltcore_register_losses(self):
        return [UnpoolingLoss]

    @ltcore.hookimpl
    def ltcore_register_backbones(self):
        return [Unpooling]


def deterministic(**fields):
    return {**SPEC, "training": {**SPEC["training"], "deterministic": True}, **fields}


def test_what_has_no_deterministic_algorithm_is_refused(tmp_path):
    spec = deterministic(backbone="unpooling")
    with pytest.raises(ltcore.SpecError) as caught:
        ltcore.run(spec, out=tmp_path, plugins=[Plugin(), Unpools()])
    assert str(caught.value).startswith("training.deterministic: the backbone 'unpooling' of ")
    assert "no deterministic algorithm (max_unpool" in str(caught.value)
    assert str(caught.value).endswith("Set it to false, or choose another component.")
    assert not torch.are_deterministic_algorithms_enabled()


def test_what_only_training_finds_is_refused_too(tmp_path):
    with pytest.raises(ltcore.SpecError, match="training.deterministic: .*'unpooling_loss'"):
        ltcore.run(
            deterministic(loss="unpooling_loss"), out=tmp_path, plugins=[Plugin(), Unpools()]
        )


def test_on_the_cpu_runs_are_the_same_with_and_without_it(tmp_path):
    run(tmp_path / "with", deterministic())
    run(tmp_path / "without")
    assert what_is_left(tmp_path / "with") == what_is_left(tmp_path / "without")


def test_the_switches_are_put_back():
    cudnn = torch.backends.cudnn
    before = torch.get_deterministic_debug_mode(), cudnn.deterministic, cudnn.benchmark
    with deterministic_algorithms(True):
        assert torch.are_deterministic_algorithms_enabled()
        assert (cudnn.deterministic, cudnn.benchmark) == (True, False)
    assert (torch.get_deterministic_debug_mode(), cudnn.deterministic, cudnn.benchmark) == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_cuda_two_deterministic_runs_are_the_same(tmp_path):
    spec = deterministic()
    spec["training"]["device"] = "cuda"
    for out in ("one", "two"):
        run(tmp_path / out, spec)
    assert what_is_left(tmp_path / "one") == what_is_left(tmp_path / "two")
