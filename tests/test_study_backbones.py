"""The study's four backbones at 224 pixels, random weights, from spec to results file."""

from __future__ import annotations

import numpy as np
import pytest

import ltcore


class Few(ltcore.Dataset):
    """Two classes, four images a split."""

    name = "few"

    def build(self, seeds):
        splits = {split: self._split(split) for split in ("train", "val", "test")}
        counts = np.array([2, 2])
        groups = ltcore.protocol.class_groups(ltcore.protocol.ranks(counts))
        return ltcore.Splits(**splits, classes=ltcore.Classes(("a", "b"), counts, groups))

    @staticmethod
    def _split(name):
        rng = np.random.default_rng(len(name))
        images = rng.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
        ids = np.array([f"{name}/{i}" for i in range(4)])
        return ltcore.Split(images=images, labels=np.array([0, 0, 1, 1]), ids=ids)


class Plugin:
    @ltcore.hookimpl
    def ltcore_register_datasets(self):
        return [Few]


@pytest.mark.parametrize(
    ("backbone", "millions"),
    [("resnet50", 23.5), ("mobilenet_v2", 2.2), ("convnext_base", 87.6), ("vit_b_16", 85.8)],
)
def test_study_backbone_takes_a_step_through_the_whole_path(tmp_path, backbone, millions):
    results = ltcore.run(
        {
            "dataset": "few",
            "backbone": {"name": backbone, "weights": None},
            "loss": "balanced_softmax",
            "training": {"epochs": 1, "batch_size": 4},
        },
        out=tmp_path,
        plugins=[Plugin()],
    )
    assert results.spec.transform.size == 224
    assert results.parameters / 1e6 == pytest.approx(millions, abs=0.1)
    assert results.test.logits.shape == (4, 2)
    assert np.isfinite(results.history["train_loss"]).all()
