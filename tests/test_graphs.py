"""`training.cuda_graphs`: what it refuses anywhere, and on a GPU that it changes no result."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import ltcore
from ltcore.ranks import Rank
from ltcore.running.graphs import GraphedModel, graphed, refuse_what_has_no_graph
from ltcore.spec import Training
from tests.interrupted_runs import SPEC, Plugin, run, what_is_left

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def spec_of(**training):
    return {**SPEC, "training": {**SPEC["training"], **training}}


def test_on_another_device_it_is_refused(tmp_path):
    with pytest.raises(ltcore.SpecError) as caught:
        run(tmp_path, spec_of(cuda_graphs=True))
    assert str(caught.value) == (
        "training.cuda_graphs: CUDA alone records graphs, and this run computes on cpu. "
        "Set it to false."
    )


@pytest.mark.parametrize(
    ("training", "rank", "said"),
    [
        ({}, Rank(0, 2), "the gradients of 2 ranks are exchanged while they are computed"),
        ({"compile": True}, Rank(), "the model is compiled; choose one of the two"),
    ],
)
def test_what_cannot_be_recorded_is_refused(training, rank, said):
    settings = Training(cuda_graphs=True, **training)
    with pytest.raises(ltcore.SpecError) as caught:
        refuse_what_has_no_graph(settings, torch.device("cuda"), rank)
    assert str(caught.value) == f"training.cuda_graphs: {said}. Set it to false."


@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_run_learns_the_same_with_and_without(tmp_path, precision):
    on_gpu = {"device": "cuda", "precision": precision}
    plain = run(tmp_path / "plain", spec_of(**on_gpu))
    recorded = run(tmp_path / "graphs", spec_of(**on_gpu, cuda_graphs=True))
    close = {"rtol": 1e-4, "atol": 1e-4} if precision == "fp32" else {"rtol": 0.05, "atol": 0.05}
    for column in ("train_loss", "val_loss"):
        np.testing.assert_allclose(recorded.history[column], plain.history[column], **close)


@needs_gpu
def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path):
    class Stop(Exception):
        """In the place of a kill, after the second epoch."""

    class Stops:
        @ltcore.hookimpl
        def ltcore_epoch_finished(self, run, row):
            if row.epoch == 1:
                raise Stop

    spec = spec_of(device="cuda", cuda_graphs=True, deterministic=True)
    run(tmp_path / "unbroken", spec)
    with pytest.raises(Exception, match="ltcore_epoch_finished|Stop"):
        ltcore.run(spec, out=tmp_path / "broken", plugins=[Plugin(), Stops()])
    run(tmp_path / "broken", spec)
    assert what_is_left(tmp_path / "broken") == what_is_left(tmp_path / "unbroken")


@needs_gpu
def test_recording_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(5))
    images = torch.randn(6, 3, 8, 8, device="cuda")
    model = model.cuda()
    model(images)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    GraphedModel(model, images, "fp32")
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in model.parameters())


@needs_gpu
@pytest.mark.parametrize("n", [6, 4])
def test_gradients_are_the_models_own_for_whole_and_smaller_batches(n):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(144, 5)).cuda()
    recorded = GraphedModel(model, torch.zeros(6, 3, 8, 8, device="cuda"), "fp32")
    for seed in range(3):
        torch.manual_seed(seed)
        images = torch.randn(n, 3, 8, 8, device="cuda")
        gradients = []
        for call in (model, recorded):
            model.zero_grad(set_to_none=True)
            call(images).square().sum().backward()
            gradients.append([parameter.grad.clone() for parameter in model.parameters()])
        torch.testing.assert_close(*gradients)


@needs_gpu
def test_a_model_that_reads_a_number_back_is_refused():
    class Reading(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, images):
            return images.flatten(1)[:, :5] * self.scale * float(images.mean() + 1)

    settings = Training(cuda_graphs=True, batch_size=4)
    with pytest.raises(
        ltcore.SpecError, match="training.cuda_graphs: the model cannot be recorded"
    ):
        graphed(Reading().cuda(), settings, 8, torch.device("cuda"))
