"""Learning rates against PyTorch's own schedulers, and which parameters are optimised."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ltcore.running.optimization import build_optimizer, learning_rate
from ltcore.spec import SGD, Adam, AdamW, Constant, Cosine, MultiStep, Step, Training

lr_scheduler = torch.optim.lr_scheduler


@pytest.mark.parametrize(
    ("spec", "make"),
    [
        (Step(step_size=3, gamma=0.1), lambda o: lr_scheduler.StepLR(o, 3, 0.1)),
        (
            MultiStep(name="multistep", milestones=(2, 7), gamma=0.01),
            lambda o: lr_scheduler.MultiStepLR(o, [2, 7], 0.01),
        ),
        (Cosine(name="cosine"), lambda o: lr_scheduler.CosineAnnealingLR(o, 10)),
        (Constant(name="constant"), lambda o: lr_scheduler.ConstantLR(o, 1.0)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_learning_rate_is_pytorch_s(spec, make):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = make(optimizer)
    training = Training(epochs=10, optimizer=SGD(name="sgd", lr=0.3), scheduler=spec)
    for epoch in range(10):
        assert learning_rate(training, epoch) == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()


def test_learning_rate_warms_up_linearly():
    scheduler = MultiStep(name="multistep", milestones=(160, 180), gamma=0.01, warmup_epochs=5)
    training = Training(epochs=200, optimizer=SGD(name="sgd", lr=0.1), scheduler=scheduler)
    rates = [learning_rate(training, epoch) for epoch in (0, 1, 4, 5, 159, 160, 180)]
    assert rates == pytest.approx([0.02, 0.04, 0.1, 0.1, 0.1, 1e-3, 1e-5])


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (Adam(), torch.optim.Adam),
        (AdamW(name="adamw"), torch.optim.AdamW),
        (SGD(name="sgd", nesterov=True), torch.optim.SGD),
    ],
)
def test_optimizer_has_the_spec_s_settings_and_no_frozen_parameter(spec, kind):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    optimizer = build_optimizer(spec, model.parameters())
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert group["params"] == list(model[1].parameters())
    for name in ("lr", "weight_decay", "momentum", "nesterov"):
        if hasattr(spec, name):
            assert group[name] == getattr(spec, name)
