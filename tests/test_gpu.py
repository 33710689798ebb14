"""On a GPU: no step waits for it, and batches arrive whole beside what it computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from ltcore.running import images as images_module
from ltcore.running import training
from ltcore.running.images import HeldImages, Sending
from tests.interrupted_runs import SPEC, run

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
# PyTorch says so of each mode that is set
pytestmark = pytest.mark.filterwarnings("ignore:Synchronization debug mode")
needs_two = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")


def spec_of(**settings):
    changed = {"device": "cuda", "checkpoint_minutes": 60.0, **settings}
    return {**SPEC, "training": {**SPEC["training"], **changed}}


@pytest.fixture
def refuse_waits(monkeypatch):
    """From the second epoch on, when what is made once is made, a step that waits is an error."""
    train_epoch, epochs = training._train_epoch, []

    def watched(state, *arguments, **options):
        epochs.append(state.epoch)
        torch.cuda.set_sync_debug_mode("error" if state.epoch else "default")
        try:
            train_epoch(state, *arguments, **options)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(training, "_train_epoch", watched)
    yield
    assert epochs == [0, 1, 2, 3]


@needs_gpu
@pytest.mark.parametrize("cuda_graphs", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_no_step_of_an_epoch_waits_for_the_gpu(tmp_path, refuse_waits, precision, cuda_graphs):
    run(tmp_path, spec_of(precision=precision, cuda_graphs=cuda_graphs))


@needs_gpu
def test_no_step_waits_where_images_are_enlarged(tmp_path, refuse_waits):
    run(tmp_path, {**spec_of(), "dataset": {**SPEC["dataset"], "size": 8}})


@needs_gpu
def test_no_step_waits_where_the_images_stay_in_the_machines_memory(
    tmp_path, refuse_waits, monkeypatch
):
    monkeypatch.setattr(images_module, "_LARGEST_SHARE", 0.0)
    run(tmp_path, spec_of())


@needs_gpu
def test_no_step_waits_where_files_are_streamed(tmp_path, refuse_waits):
    root, random = tmp_path / "photos", np.random.default_rng(0)
    for split, n in (("train", 30), ("val", 4), ("test", 4)):
        for name in ("dark", "light", "odd"):
            (root / split / name).mkdir(parents=True)
            for number in range(n):
                pixels = random.integers(0, 256, (20, 20, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    data = {"name": "image_folder", "root": str(root)}
    run(tmp_path / "out", {**spec_of(image_gb=0.0), "dataset": data, "loss": "cross_entropy"})


@needs_gpu
@pytest.mark.parametrize("late", ["copy", "computation"])
def test_batches_arrive_whole_while_the_gpu_computes(monkeypatch, late):
    """Neither is what computes to overtake the copy, nor the copies after next what computes."""
    send = images_module.sent

    def sent(part, device):
        if device.type == "cuda" and late == "copy":
            torch.cuda._sleep(20_000_000)
        return send(part, device)

    monkeypatch.setattr(images_module, "_LARGEST_SHARE", 0.0)
    monkeypatch.setattr(images_module, "sent", sent)
    gpu, sums = torch.device("cuda"), []
    pixels = np.random.default_rng(0).integers(0, 256, (512, 3, 64, 64)).astype(np.uint8)
    indices = torch.randperm(512).split(32)
    for batch in HeldImages(pixels, gpu).batches(indices):
        if late == "computation":
            torch.cuda._sleep(20_000_000)
        sums.append(batch.long().sum(dim=(1, 2, 3)))
        del batch  # its memory may be given to a copy, once it has been computed with
    expected = pixels.astype(np.int64).sum(axis=(1, 2, 3))
    for index, found in zip(indices, sums, strict=True):
        assert found.tolist() == expected[index].tolist()


@needs_two
@pytest.mark.parametrize("cuda_graphs", [False, True])
def test_a_run_learns_the_same_on_either_gpu(tmp_path, cuda_graphs):
    first, second = (
        run(tmp_path / device, spec_of(device=device, cuda_graphs=cuda_graphs))
        for device in ("cuda:0", "cuda:1")
    )
    np.testing.assert_allclose(
        second.history["train_loss"], first.history["train_loss"], rtol=1e-4, atol=1e-4
    )
    assert torch.cuda.current_device() == 0


def test_on_the_cpu_a_batch_is_sent_as_it_is():
    part = torch.arange(6)
    assert Sending(torch.device("cpu"))(part).data_ptr() == part.data_ptr()
