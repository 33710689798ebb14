"""The loop and its state: saved after an epoch and restored, training goes on as if unbroken."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

import ltcore
from ltcore.components import IMAGENET_NORMALIZATION
from ltcore.ranks import Rank
from ltcore.running.augmentation import Augmentation
from ltcore.running.batches import Batches
from ltcore.running.checking import has_non_finite
from ltcore.running.group import Group
from ltcore.running.training import EpochSums, TrainingState, train
from ltcore.spec import Training, Transform

CPU = torch.device("cpu")


class Plain:
    normalization = IMAGENET_NORMALIZATION


def split(n: int, seed: int) -> ltcore.Split:
    rng = np.random.default_rng(seed)
    return ltcore.Split(
        images=rng.integers(0, 256, (n, 3, 8, 8), dtype=np.uint8),
        labels=rng.integers(0, 3, n),
        ids=np.array([f"{seed}/{i}" for i in range(n)]),
    )


class Noisy(ltcore.PerSampleLoss):
    """Cross-entropy of logits with noise from the loss's own generator."""

    def per_sample(self, logits, labels):
        noise = torch.randn(logits.shape, generator=self.generator)
        return nn.functional.cross_entropy(logits + noise, labels, reduction="none")


def parts(settings: Training):
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 3)
    )
    state = TrainingState(
        model=model,
        criterion=Noisy(),
        optimizer=torch.optim.Adam(model.parameters()),
        scaler=torch.amp.GradScaler("cpu", enabled=settings.precision == "fp16"),
        sums=EpochSums(CPU),
    )
    augmentation = Augmentation(Transform(size=8), Plain(), seed=3, device=CPU)
    batches = [
        Batches(split(n, n), augmentation, batch_size=8, device=CPU, rank=Rank(), room=0)
        for n in (30, 20)
    ]
    return state, batches


def go_on(state, batches, epochs, precision="fp32", between_steps=lambda state: None):
    settings = Training(epochs=epochs, precision=precision)
    with torch.random.fork_rng([]):
        train(
            state,
            *batches,
            settings=settings,
            seeds=ltcore.Seeds(),
            group=Group(Rank(), torch.device("cpu")),
            forward=state.model,
            between_steps=between_steps,
            save=lambda state: None,
            after_epoch=lambda row: None,
        )


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_state_goes_on_from_its_saved_form_as_if_unbroken(tmp_path, precision):
    settings = Training(precision=precision)
    unbroken, batches = parts(settings)
    go_on(unbroken, batches, 4, precision)

    first, _ = parts(settings)
    go_on(first, batches, 2, precision)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second, _ = parts(settings)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    go_on(second, batches, 4, precision)

    for name, value in unbroken.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    rows = [(r.train_loss, r.val_loss, r.val_top1, r.lr) for r in unbroken.history]
    assert rows == [(r.train_loss, r.val_loss, r.val_top1, r.lr) for r in second.history]
    assert unbroken.best.epoch == second.best.epoch


def test_state_keeps_the_earlier_epoch_at_a_tie():
    state, _ = parts(Training())
    for epoch, top1 in enumerate((0.2, 0.5, 0.5, 0.4)):
        state.finish_epoch(ltcore.EpochRow(epoch, 0.1, 1.0, 0.0, 1.0, top1, 1.0))
    assert state.best.epoch == 1
    assert state.epoch == 4


def test_state_keeps_no_weights_that_are_not_wanted():
    state, _ = parts(Training())
    state.finish_epoch(ltcore.EpochRow(0, 0.1, 1.0, 0.0, 1.0, 0.2, 1.0), keep_best=False)
    assert state.best is None
    assert state.state_dict()["best"] is None
    assert len(state.history) == 1


def test_state_s_best_weights_do_not_follow_the_model():
    state, _ = parts(Training())
    state.finish_epoch(ltcore.EpochRow(0, 0.1, 1.0, 0.0, 1.0, 0.5, 1.0))
    before = {name: value.clone() for name, value in state.best.weights.items()}
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.add_(1)
    assert all(torch.equal(before[name], state.best.weights[name]) for name in before)


@pytest.mark.parametrize("where", ["loss", "gradient", "logits"])
def test_train_names_the_first_bad_step(where):
    class Bad(ltcore.PerSampleLoss):
        step = -1

        def per_sample(self, logits, labels):
            self.step += 1
            values = nn.functional.cross_entropy(logits, labels, reduction="none")
            if self.step < 2:
                return values
            if where == "gradient":  # the value is finite, its gradient is not
                return values + (logits[:, 0] * 0).sqrt()
            return values * (torch.nan if where == "loss" else 1)

    state, batches = parts(Training())
    state.criterion = Bad()
    if where == "logits":
        state.model.append(NanFrom(2))
    with pytest.raises(ltcore.NonFiniteError, match="epoch 0, step 2: .*learning rate 0.001"):
        go_on(state, batches, epochs=1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_non_finite_numbers_are_found_wherever_they_are(value, dtype):
    for place in range(3):
        tensors = [torch.zeros(4, 3, 2, 2), torch.ones((), dtype=dtype), torch.empty(0)]
        tensors[0] = tensors[0].to(memory_format=torch.channels_last)
        tensors.insert(place, torch.full((5, 7), 1.0, dtype=dtype)[::2, ::3])
        assert not has_non_finite(tensors)
        tensors[place][2, 1] = value
        assert has_non_finite(tensors)


def test_looking_for_non_finite_numbers_changes_none():
    largest, least = torch.finfo(torch.float32).max, 1e-44
    values = torch.tensor([largest, -largest, least, -least, 0.0, -0.0])
    before = values.view(torch.int32).clone()
    assert not has_non_finite([values])
    assert torch.equal(values.view(torch.int32), before)


def test_train_refuses_a_gradient_whose_square_is_infinite():
    """Adam would never change its parameter again: the step is divided by the square's root."""

    class Steep(ltcore.PerSampleLoss):
        def per_sample(self, logits, labels):
            return 1e25 * nn.functional.cross_entropy(logits, labels, reduction="none")

    state, batches = parts(Training())
    state.criterion = Steep()
    with pytest.raises(ltcore.NonFiniteError, match="epoch 0: the optimizer.s state .* 0.001"):
        go_on(state, batches, epochs=1)


def test_no_gradient_outlives_its_step():
    state, batches = parts(Training())
    kept = []

    def note(parameter):
        kept.append(StorageWeakRef(parameter.grad.untyped_storage()))

    def look(state):
        assert kept
        assert all(gradient.expired() for gradient in kept)

    for parameter in state.model.parameters():
        parameter.register_post_accumulate_grad_hook(note)
    go_on(state, batches, epochs=1, between_steps=look)


class NanFrom(nn.Module):
    """Makes one class's logits infinite from a training step on."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.left = step

    def forward(self, logits):
        self.left -= self.training
        if self.left >= 0 or not self.training:
            return logits
        return logits + torch.tensor([0.0, 0.0, torch.inf])


class Reads(TorchDispatchMode):
    """Counts what would make a program wait for its GPU."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique", "lift_fresh")

    def __init__(self) -> None:
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__.removesuffix("_")
        self.found += [name] * (name in self.WAITING)
        return func(*args, **kwargs or {})


class _LastStep(Exception):
    pass


def test_train_reads_no_number_between_its_steps():
    settings = Training(epochs=1)
    state, batches = parts(settings)
    state.optimizer = torch.optim.SGD(state.model.parameters(), lr=0.1)
    with Reads() as reads:
        torch.zeros(1).item()
        assert reads.found == ["_local_scalar_dense"]

        def stop_after_the_last(state):
            if state.step == len(batches[0]):
                raise _LastStep

        with pytest.raises(_LastStep), torch.random.fork_rng([]):
            train(
                state,
                *batches,
                settings=settings,
                seeds=ltcore.Seeds(),
                group=Group(Rank(), torch.device("cpu")),
                forward=state.model,
                between_steps=stop_after_the_last,
                save=lambda state: None,
                after_epoch=lambda row: None,
            )
        assert reads.found == ["_local_scalar_dense"]
