"""Several ranks train as one: the same images, loss and gradient, each test image once."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from typing import ClassVar

import numpy as np
import pytest
import torch

import ltcore
from ltcore.plugins import load_plugins
from ltcore.ranks import Rank, this_rank
from ltcore.resolution import resolve
from ltcore.running.augmentation import Augmentation
from ltcore.running.batches import Batches
from ltcore.running.building import check_batch_size
from ltcore.running.exchange import share_of_batch, share_of_split
from ltcore.running.randomness import epoch_order
from tests.interrupted_runs import (
    SPEC,
    PlainNet,
    Plugin,
    killed_after,
    processes,
    ranks,
    seconds_of_a_run,
    start,
    what_is_left,
)

# 1,001 training images of six classes, long-tailed: no number of ranks shares them out evenly.
IMAGES = {
    "name": "synthetic",
    "classes": 6,
    "per_class": 395,
    "imbalance_factor": 0.1,
    "val_per_class": 5,
    "test_per_class": 7,
    "size": 16,
}


LR = 0.05


def spec_of(loss, batch_size=1001, epochs=20, backbone="plain_net", **training):
    return {
        "name": "run",
        "dataset": IMAGES,
        "transform": {"size": 16},
        "backbone": backbone,
        "loss": loss,
        "training": {
            "epochs": epochs,
            "batch_size": batch_size,
            "optimizer": {"name": "sgd", "lr": LR, "momentum": 0.0},
            "scheduler": "constant",
            "device": "cpu",
            "select": "last",
            **training,
        },
    }


def finish(out, spec, number):
    started = start(out, spec, number)
    for process in started:
        process.join(120)
    assert [process.exitcode for process in started] == [0] * number
    return ltcore.read_results(out / "run.h5")


def weights_of(out):
    from safetensors.torch import load_file

    return load_file(out / "run.safetensors")


LOSSES = ["cross_entropy", "weighted_cross_entropy", {"name": "equalization", "lambda": 0.1}]


@pytest.fixture(scope="module", params=LOSSES, ids=str)
def by_one_rank(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("one")
    finish(out / "first", spec_of(request.param, epochs=1), 1)
    return request.param, weights_of(out / "first"), finish(out / "all", spec_of(request.param), 1)


@pytest.mark.parametrize("number", [2, 3])
def test_ranks_take_the_step_of_one_rank(tmp_path, by_one_rank, number):
    loss, alone, _ = by_one_rank
    finish(tmp_path, spec_of(loss, epochs=1), number)
    together = weights_of(tmp_path)
    for name, weights in alone.items():  # w0 - lr g: where they agree, the gradients do
        assert (together[name] - weights).abs().max() / LR < 1e-6


@pytest.mark.parametrize("number", [2, 3])
def test_ranks_have_the_losses_of_one_rank_and_score_each_image_once(tmp_path, by_one_rank, number):
    loss, _, alone = by_one_rank
    together = finish(tmp_path, spec_of(loss), number)
    for column in ("train_loss", "val_loss"):  # an epoch is a step
        np.testing.assert_allclose(together.history[column], alone.history[column], atol=1e-4)
    for split in ("test", "val"):
        ours, theirs = getattr(together, split), getattr(alone, split)
        assert len(set(ours.id)) == len(ours.id)
        assert ours.id.tolist() == theirs.id.tolist()
        np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-4)


def test_ranks_agree_on_small_batches_and_a_last_batch_with_less_images_than_ranks(tmp_path):
    spec = spec_of("weighted_cross_entropy", batch_size=125, epochs=2)
    alone, together = finish(tmp_path / "1", spec, 1), finish(tmp_path / "3", spec, 3)
    np.testing.assert_allclose(together.test.logits, alone.test.logits, atol=1e-4)
    np.testing.assert_allclose(
        together.history["train_loss"], alone.history["train_loss"], atol=1e-4
    )


def test_killed_again_and_again_two_ranks_end_with_the_bytes_of_two_unbroken_ones(tmp_path):
    seconds_of_a_run(tmp_path / "unbroken", number=2)
    unbroken = what_is_left(tmp_path / "unbroken")
    seconds = seconds_of_a_run(tmp_path / "timed", number=2)
    assert what_is_left(tmp_path / "timed") == unbroken
    moments = random.Random(0)
    kills = number = 0
    while kills < 30:
        out = tmp_path / str(number)
        while killed_after(out, moments.uniform(0, 1.1 * seconds), number=2):
            kills += 1
        assert what_is_left(out) == unbroken
        number += 1


def test_three_ranks_that_were_killed_add_in_the_order_of_unbroken_ones(tmp_path):
    finish(tmp_path / "unbroken", SPEC, 3)
    seconds = seconds_of_a_run(tmp_path / "timed", number=3)
    while killed_after(tmp_path / "broken", 0.6 * seconds, number=3):
        pass
    assert what_is_left(tmp_path / "broken") == what_is_left(tmp_path / "unbroken")


def test_the_environment_says_how_many_ranks_and_over_what_batch_norm_ran(tmp_path):
    found = [finish(tmp_path / str(n), SPEC, n).environment for n in (1, 2)]
    assert [(e["world_size"], e["batch_norm"]) for e in found] == [(1, "batch"), (2, "rank")]
    plain = finish(tmp_path / "plain", spec_of("focal", epochs=1), 2).environment
    assert plain["batch_norm"] is None


@pytest.mark.parametrize("n", [1, 2, 5, 8, 100])
@pytest.mark.parametrize("number", [1, 2, 3, 8])
def test_shares_hold_each_image_once(n, number):
    every = ranks(number)
    batch = torch.arange(n) + 7
    shares = [share_of_batch(batch, rank) for rank in every]
    assert torch.cat(shares)[:n].tolist() == batch.tolist()
    assert all(len(share) for share in shares)
    split = torch.stack([share_of_split(n, rank) for rank in every], dim=1).flatten()
    assert split[:n].tolist() == list(range(n))
    assert set(split[n:].tolist()) <= {n - 1}


def images_of_an_epoch(number, batch_size):
    """A digest of each augmented image of epoch 1, by its index in the train split."""
    resolved = resolve(spec_of("focal"), load_plugins(Plugin()))
    cpu, split = torch.device("cpu"), ltcore.load_dataset(IMAGES).train
    augmentation = Augmentation(resolved.spec.transform, resolved.backbone, seed=3, device=cpu)
    order = epoch_order(3, 1, len(split))
    found = {}
    for rank in ranks(number):
        batches = Batches(split, augmentation, batch_size=batch_size, device=cpu, rank=rank, room=0)
        for chosen, batch in zip(order.split(batch_size), batches.training(1), strict=True):
            for index, image in zip(share_of_batch(chosen, rank), batch.images, strict=True):
                found[int(index)] = hashlib.sha256(image.numpy().tobytes()).hexdigest()
    return found


@pytest.mark.parametrize(("number", "batch_size"), [(1, 64), (2, 1001), (3, 100), (3, 64)])
def test_ranks_and_batch_sizes_change_no_augmented_image(number, batch_size):
    expected = images_of_an_epoch(1, 1001)
    assert len(expected) == 1001
    assert images_of_an_epoch(number, batch_size) == expected


def test_a_batch_smaller_than_the_ranks_is_refused():
    with pytest.raises(ltcore.SpecError, match="2 is less than the 3 ranks that share a batch"):
        check_batch_size(2, ltcore.load_dataset(IMAGES), 3)


@pytest.mark.parametrize(
    ("number", "size", "local", "rank"),
    [
        (None, None, None, Rank()),
        ("0", "1", "0", Rank()),
        (None, "4", None, Rank()),
        ("2", "4", "0", Rank(2, 4, 0)),
        ("2", "4", None, Rank(2, 4, 2)),
    ],
)
def test_the_rank_is_that_of_the_environment(monkeypatch, number, size, local, rank):
    for name, value in {"RANK": number, "WORLD_SIZE": size, "LOCAL_RANK": local}.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert this_rank() == rank


@pytest.mark.parametrize(("number", "size"), [("4", "4"), ("x", "2"), ("-1", "2")])
def test_an_environment_that_names_no_rank_is_refused(monkeypatch, number, size):
    monkeypatch.setenv("RANK", number)
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(ltcore.SurroundingsError, match=f"RANK='{number}'.* names no rank"):
        this_rank()


def test_ranks_who_do_not_meet_say_so(tmp_path):
    spec = spec_of("focal", epochs=1, timeout_seconds=1)
    answer = failure_of(tmp_path, spec, ranks(2)[:1])
    assert "SurroundingsError: rank 0 of 2 could not meet the others" in answer[0]


def test_several_ranks_need_devices_of_their_own(tmp_path):
    found = failure_of(tmp_path, spec_of("focal", device="cuda:0"), ranks(2))
    (heard,) = [text for text in found.values() if not text.startswith("AnotherRankError")]
    assert heard.startswith(
        "SpecError: training.device: 'cuda:0' is one device, and there are 2 ranks"
    )


def test_batch_norm_is_not_synchronised_on_the_cpu(tmp_path):
    spec = {**SPEC, "training": {**SPEC["training"], "sync_batch_norm": True}}
    with pytest.raises(ltcore.SpecError, match="synchronised on CUDA alone.*Set it to false"):
        ltcore.run(spec, out=tmp_path, plugins=[Plugin()])


class FailingInRank(PlainNet):
    """Raises in one rank's third pass, or ends its process, or sleeps."""

    name: ClassVar[str] = "failing"
    how: str = "raise"

    def build(self, num_classes, head):
        model, passes = super().build(num_classes, head), []

        def fail(*_):
            passes.append(1)
            if len(passes) == 5 and this_rank().number == 1:
                if self.how == "raise":
                    raise ValueError("an image that it cannot bear")
                if self.how == "leave":
                    sys.exit(0)
                if self.how == "interrupt":
                    raise KeyboardInterrupt
                if self.how == "die":
                    os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)

        model.register_forward_pre_hook(fail)
        return model


class PartlyUsed(PlainNet):
    """Has a layer that its forward pass leaves out."""

    name: ClassVar[str] = "partly_used"

    def build(self, num_classes, head):
        model = super().build(num_classes, head)
        model[0].unused = torch.nn.Linear(3, 3)
        return model


class Failing:
    @ltcore.hookimpl
    def ltcore_register_backbones(self):
        return [FailingInRank, PartlyUsed]


def _answer(out, specs, rank, answers):
    torch.set_num_threads(1)
    os.environ.update(rank.environment())
    errors = []  # that a program keeps: the other ranks are not to wait until it lets go
    for spec in specs:
        _run_and_answer(out, spec, rank, answers, errors)


def _run_and_answer(out, spec, rank, answers, errors):
    try:
        ltcore.run(spec, out=out, plugins=[Plugin(), Failing()])
        answers.put((rank.number, "finished"))
    except (ltcore.LtcoreError, KeyboardInterrupt) as error:
        errors.append(error)
        answers.put((rank.number, f"{type(error).__name__}: {error}"))


def failure_of(out, spec, all_ranks, dying=(), **others):
    """What each rank that does not die ends with."""
    return dict(answers_of(out, [spec], all_ranks, len(all_ranks) - len(dying), **others))


def answers_of(out, specs, all_ranks, number, of_the_last=None):
    """The first answers of the ranks, each of which runs the specs: (rank, what it ended with).

    The last rank may run others.
    """
    context = processes()
    answers = context.Queue()
    given = [specs] * (len(all_ranks) - 1) + [of_the_last or specs]
    started = [
        context.Process(target=_answer, args=(out, own, rank, answers))
        for own, rank in zip(given, all_ranks, strict=True)
    ]
    for process in started:
        process.start()
    try:
        return [answers.get(timeout=60) for _ in range(number)]
    finally:
        for process in started:
            process.kill()
            process.join()


def test_ranks_may_run_one_spec_after_another_though_one_failed(tmp_path):
    fine = spec_of("focal", batch_size=500, epochs=1)
    failing = {"name": "failing", "how": "raise"}
    specs = [
        fine,
        spec_of("focal", batch_size=100, backbone=failing) | {"name": "failing"},
        fine | {"name": "again"},
    ]
    begun = time.monotonic()
    found = answers_of(tmp_path, specs, ranks(2), 6)
    assert time.monotonic() - begun < 30  # nobody waits for a time-out
    assert [text for rank, text in found if rank == 0] == [
        "finished",
        "AnotherRankError: rank 1 failed first; its own message says why",
        "finished",
    ]


def test_a_parameter_that_takes_no_part_stays_as_it_was(tmp_path):
    spec = spec_of("focal", batch_size=250, epochs=1, backbone="partly_used")
    assert failure_of(tmp_path / "1", spec, ranks(1)) == {0: "finished"}
    assert failure_of(tmp_path / "2", spec, ranks(2)) == {0: "finished", 1: "finished"}
    alone, together = weights_of(tmp_path / "1"), weights_of(tmp_path / "2")
    assert torch.equal(together["0.unused.weight"], alone["0.unused.weight"])
    assert all((together[name] - alone[name]).abs().max() < 1e-4 for name in alone)


def test_a_rank_that_leaves_is_named(tmp_path):
    backbone = {"name": "failing", "how": "leave"}
    found = failure_of(tmp_path, spec_of("focal", batch_size=100, backbone=backbone), ranks(2))
    assert "raised SystemExit: 0" in found[1]


def test_ctrl_c_in_one_rank_is_ctrl_c_there_and_130_for_all(tmp_path):
    backbone = {"name": "failing", "how": "interrupt"}
    spec = spec_of("focal", batch_size=100, backbone=backbone)
    assert failure_of(tmp_path, spec, ranks(2))[1] == "KeyboardInterrupt: "
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["exit_code"], status["rank"]) == (130, 1)


@pytest.mark.parametrize("how", ["raise", "die", "sleep"])
def test_a_rank_that_fails_ends_all_and_is_the_one_that_is_heard(tmp_path, how):
    backbone = {"name": "failing", "how": how}
    spec = spec_of("focal", batch_size=100, backbone=backbone, timeout_seconds=3)
    silent = () if how == "raise" else (1,)
    begun = time.monotonic()
    found = failure_of(tmp_path, spec, ranks(3), silent)
    assert time.monotonic() - begun < 30
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    if how == "raise":
        assert "ValueError: an image that it cannot bear" in found[1]
        assert (
            found[0]
            == found[2]
            == ("AnotherRankError: rank 1 failed first; its own message says why")
        )
        assert status["rank"] == 1
        assert "an image that it cannot bear" in status["error"]
    else:
        heard = [text for text in found.values() if text.startswith("LostRankError: lost contact")]
        assert len(heard) == 1
        assert status["error"].startswith("lost contact with another rank")
    assert status["exit_code"] == 1


def test_a_rank_that_met_nobody_writes_nothing(tmp_path):
    spec = spec_of("focal", epochs=1, timeout_seconds=1)
    answer = failure_of(tmp_path, spec, ranks(2)[1:])
    assert "SurroundingsError: rank 1 of 2 could not meet the others" in answer[1]
    assert not (tmp_path / "run").exists()


def test_a_loss_that_draws_from_the_global_generator_draws_alike_on_all_ranks(tmp_path):
    spec = spec_of("noisy", epochs=3)
    alone, together = finish(tmp_path / "1", spec, 1), finish(tmp_path / "3", spec, 3)
    losses = together.history["train_loss"]
    np.testing.assert_allclose(losses, alone.history["train_loss"], atol=1e-4)


@pytest.mark.parametrize("changed", [{"seed": 7}, {"loss": "cross_entropy"}])
def test_ranks_that_were_given_another_spec_are_refused(tmp_path, changed):
    spec = spec_of("focal", epochs=1)
    answers = failure_of(tmp_path, spec, ranks(3), of_the_last=[{**spec, **changed}])
    (told,) = [text for text in answers.values() if text.startswith("SpecError")]
    assert told == (
        "SpecError: rank 2 has another spec or other images than rank 0. Give all ranks the same "
        "spec, the same data and the same ltcore."
    )
