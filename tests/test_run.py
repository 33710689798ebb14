"""`ltcore.run` from spec to results, on tiny data and a tiny model of a plugin object."""

from __future__ import annotations

import json
import platform
import signal
import subprocess
import sys
import textwrap
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import ltcore

K = 4


class Blobs(ltcore.Dataset):
    """Noisy images around one colour a class, 12, 6, 3 and 1 of them to train."""

    name = "blobs"
    counts: tuple[int, ...] = (12, 6, 3, 1)
    protocol_test: bool = False
    flip_test_labels: bool = False

    @property
    def val_is_test(self) -> bool:
        return self.protocol_test

    def build(self, seeds: ltcore.Seeds) -> ltcore.Splits:
        counts = np.array(self.counts)
        train = _blobs("train", counts, seeds.data)
        test = _blobs("test", np.full(K, 5), seeds.split)
        if self.flip_test_labels:
            test = replace(test, labels=test.labels[::-1].copy())
        rank = ltcore.protocol.ranks(counts)
        views = ltcore.protocol.evaluation_views(
            test.labels, test.ids, train_counts=counts, rank=rank, factor=0.1, seed=seeds.split
        )
        test = replace(test, views=views)
        val = test if self.protocol_test else _blobs("val", np.full(K, 4), seeds.split + 1)
        classes = ltcore.Classes(
            ("red", "green", "blue", "grey"), counts, ltcore.protocol.class_groups(rank)
        )
        return ltcore.Splits(train=train, val=val, test=test, classes=classes)


def _blobs(split: str, counts: np.ndarray, seed: int) -> ltcore.Split:
    rng = np.random.default_rng([seed, len(split)])
    labels = np.repeat(np.arange(K), counts)
    colours = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [120, 120, 120]])
    noise = rng.integers(-50, 50, (len(labels), 3, 8, 8))
    images = np.clip(colours[labels][:, :, None, None] + noise, 0, 255).astype(np.uint8)
    ids = np.array([f"{split}/{label}/{i}" for i, label in enumerate(labels)])
    return ltcore.Split(images=images, labels=labels, ids=ids)


class Tiny(ltcore.Backbone):
    """A convolution, dropout and a head."""

    name = "tiny"
    input_size = 8
    dropout: float = 0.5

    def build(self, num_classes: int, head: str) -> nn.Module:
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(self.dropout),
            nn.Linear(8, 1),
        )
        ltcore.replace_head(model, num_classes, head, scale=self.head_scale)
        return model


class Plugin:
    @ltcore.hookimpl
    def ltcore_register_datasets(self):
        return [Blobs]

    @ltcore.hookimpl
    def ltcore_register_backbones(self):
        return [Tiny]


PLUGIN = Plugin()


def spec(**changes):
    training = {
        "epochs": 3,
        "batch_size": 8,
        "scheduler": "constant",
        **changes.pop("training", {}),
    }
    return {
        "dataset": "blobs",
        "backbone": "tiny",
        "loss": "cross_entropy",
        "training": training,
        **changes,
    }


def run(tmp_path, **changes) -> ltcore.Results:
    return ltcore.run(spec(**changes), out=tmp_path, plugins=[PLUGIN])


def same_numbers(a: ltcore.Results, b: ltcore.Results) -> bool:
    history = [c for c in a.history if c != "seconds"]
    return a.test.logits.tobytes() == b.test.logits.tobytes() and all(
        np.array_equal(a.history[c], b.history[c]) for c in history
    )


def test_run_returns_what_the_file_holds(tmp_path):
    results = run(tmp_path, training={"keep_last": True})
    read = ltcore.read_results(results.path)
    assert read.verified
    assert read.spec == results.spec
    assert same_numbers(read, results)
    assert read.test.logits.shape == (20, K)
    assert read.val.logits.shape == (16, K)
    assert set(read.last) == {"test", "val"}
    assert read.best_epoch == results.best_epoch
    assert read.selection == "val"
    assert list(read.train_ids) == list(results.train_ids)
    assert read.environment["torch"] == torch.__version__
    assert read.plugins["ltcore-losses"]
    weights = results.path.with_suffix(".safetensors")
    assert sorted(tmp_path.iterdir()) == [results.path, weights]


def test_run_metrics_are_those_of_the_file_to_the_last_bit(tmp_path):
    results = run(tmp_path)
    assert ltcore.evaluate(results) == ltcore.evaluate(ltcore.read_results(results.path))


def test_run_twice_gives_the_same_bytes(tmp_path):
    assert same_numbers(run(tmp_path / "a"), run(tmp_path / "b"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_run_in_fresh_processes_gives_the_same_bytes(tmp_path, precision):
    program = textwrap.dedent(f"""
        import sys, hashlib, ltcore
        spec = {{
            "dataset": {{"name": "synthetic", "per_class": 8, "val_per_class": 1,
                "test_per_class": 1, "imbalance_factor": 0.5}},
            "backbone": "resnet32",
            "loss": "equalization",
            "training": {{"epochs": 1, "batch_size": 16, "precision": "{precision}"}},
        }}
        results = ltcore.run(spec, out=sys.argv[1])
        print(hashlib.sha256(results.test.logits.tobytes()).hexdigest())
    """)
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, tmp_path / str(i)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for i in range(2)
    }
    assert len(digests) == 1


def test_run_depends_on_each_seed(tmp_path):
    base = run(tmp_path)
    for seed in ("data", "init", "order"):
        other = run(tmp_path, seeds={seed: 7})
        assert not np.array_equal(other.test.logits, base.test.logits), seed
        assert list(other.test.id) == list(base.test.id)


def test_run_of_a_finished_spec_leaves_the_file_as_it_is(tmp_path):
    path = run(tmp_path).path
    before = (path.stat().st_mtime_ns, path.read_bytes())
    again = run(tmp_path, training={"device": "cpu"})  # the device affects no outcome
    assert again.path == path
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before


def test_run_refuses_the_name_of_another_spec_with_the_fields(tmp_path):
    run(tmp_path, name="mine")
    with pytest.raises(ltcore.ExistingResultsError) as caught:
        run(tmp_path, name="mine", training={"epochs": 2})
    assert "training.epochs: 3 there, 2 here" in str(caught.value)
    assert "another name or --out" in str(caught.value)


def test_run_refuses_a_file_that_is_no_results_file(tmp_path):
    (tmp_path / "mine.h5").write_text("not HDF5")
    with pytest.raises(ltcore.ExistingResultsError, match="move it away"):
        run(tmp_path, name="mine")
    assert (tmp_path / "mine.h5").read_text() == "not HDF5"


def test_run_chooses_the_best_epoch_by_validation(tmp_path):
    results = run(tmp_path, training={"epochs": 6, "optimizer": {"name": "sgd", "lr": 0.5}})
    top1 = results.history["val_top1"]
    assert results.best_epoch == int(top1.argmax())
    assert (results.val.prediction == results.val.label).mean() == top1.max()


def test_run_chooses_without_test_labels(tmp_path):
    plain = run(tmp_path / "a", training={"epochs": 6})
    shuffled = run(
        tmp_path / "b",
        dataset={"name": "blobs", "flip_test_labels": True},
        training={"epochs": 6},
    )
    assert same_numbers(plain, shuffled)
    assert list(plain.test.label) != list(shuffled.test.label)


def test_run_takes_the_last_epoch_where_val_is_test(tmp_path):
    results = run(tmp_path, dataset={"name": "blobs", "protocol_test": True})
    assert results.val_is_test
    assert results.val is None
    assert (results.selection, results.best_epoch) == ("last", 2)


def test_run_marks_a_choice_on_test_images(tmp_path):
    data = {"name": "blobs", "protocol_test": True}
    results = run(tmp_path, dataset=data, training={"select": "best"})
    assert results.selection == "test"


def test_run_select_last_keeps_the_last_weights(tmp_path):
    results = run(tmp_path, training={"select": "last", "keep_last": True})
    assert results.best_epoch == 2
    assert np.array_equal(results.test.logits, results.last["test"].logits)


def test_run_history_has_the_scheduled_rates(tmp_path):
    scheduler = {"name": "step", "step_size": 2, "gamma": 0.5, "warmup_epochs": 1}
    results = run(tmp_path, training={"epochs": 4, "scheduler": scheduler})
    assert results.history["lr"].tolist() == [0.001, 0.001, 0.0005, 0.0005]


def test_run_trained_prior_is_the_loss_s_and_uniform_after_reweighting(tmp_path):
    assert run(tmp_path).trained_prior == "train"
    assert run(tmp_path, loss="balanced_softmax").trained_prior == "uniform"
    reweighted = {"name": "cross_entropy", "drw": {"start_epoch": 1}}
    assert run(tmp_path, loss=reweighted).trained_prior == "uniform"


def test_run_deferred_reweighting_changes_nothing_before_its_epoch(tmp_path):
    plain = run(tmp_path).history["train_loss"]
    loss = {"name": "cross_entropy", "drw": {"start_epoch": 2}}
    deferred = run(tmp_path, loss=loss).history["train_loss"]
    assert plain[:2].tolist() == deferred[:2].tolist()
    assert plain[2] != deferred[2]


def test_run_warns_of_ldam_on_a_linear_head(tmp_path):
    with pytest.warns(ltcore.LtcoreWarning, match="made for a cosine head"):
        run(tmp_path, loss="ldam", backbone={"name": "tiny", "head": "linear"})


@pytest.mark.parametrize(
    "loss",
    [
        "cross_entropy",
        "weighted_cross_entropy",
        "focal",
        "class_balanced",
        "balanced_softmax",
        {"name": "equalization", "lambda": 0.1},
        "ldam",
    ],
)
@pytest.mark.filterwarnings("ignore:training.precision")  # where it is emulated
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_run_in_half_precision_ends_with_finite_logits(tmp_path, loss, precision):
    results = run(tmp_path, loss=loss, training={"precision": precision})
    assert np.isfinite(results.test.logits).all()


@pytest.mark.skipif(platform.machine() != "x86_64" or sys.platform != "linux", reason="reads flags")
def test_run_warns_of_a_precision_that_the_processor_emulates(tmp_path):
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    emulated = not {"avx512bw", "avx_ne_convert"} & set(flags)
    expected = ["this CPU has no instructions for bf16"] if emulated else []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ltcore.LtcoreWarning)
        run(tmp_path / "fp32")
        run(tmp_path / "bf16", training={"precision": "bf16", "device": "cpu"})
    found = [str(w.message) for w in caught if issubclass(w.category, ltcore.LtcoreWarning)]
    assert [message.split(": ")[1].split(";")[0] for message in found] == expected


def test_run_stops_at_a_non_finite_loss_and_writes_nothing(tmp_path):
    with pytest.raises(ltcore.NonFiniteError) as caught:
        run(tmp_path, training={"optimizer": {"name": "sgd", "lr": 1e38}})
    assert "epoch 0, step 1" in str(caught.value)
    assert "learning rate 1e+38" in str(caught.value)
    assert not list(tmp_path.glob("*.h5"))


def test_run_refuses_a_batch_larger_than_the_data(tmp_path):
    with pytest.raises(ltcore.SpecError, match="training.batch_size: 23 is more than the 22"):
        run(tmp_path, training={"batch_size": 23})


def test_run_refuses_a_class_without_images_where_the_loss_divides(tmp_path):
    data = {"name": "blobs", "counts": [12, 6, 3, 0]}
    run(tmp_path, dataset=data)
    with pytest.raises(ltcore.SpecError, match="1 of 4 classes have no training image: grey"):
        run(tmp_path, dataset=data, loss="balanced_softmax")


def test_run_refuses_a_size_that_the_model_does_not_take(tmp_path):
    with pytest.raises(
        ltcore.SpecError, match="does not take images of 2 pixels.*Its own size is 8"
    ):
        run(tmp_path, transform={"size": 2, "crop_padding": 0})


class Nonsense(nn.Module):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def forward(self, logits, labels):
        loss = nn.functional.cross_entropy(logits, labels)
        if self.what == "raises":
            raise ValueError("no such thing")
        return {
            "none": None,
            "detached": loss.detach(),
            "vector": logits.sum(dim=1),
            "complex": loss.to(torch.complex64),
        }[self.what]


class NonsenseLoss(ltcore.Loss):
    """A loss that gives nonsense."""

    name = "nonsense"
    what: str = "none"

    def build(self, classes):
        return Nonsense(self.what)


class NonsensePlugin:
    @ltcore.hookimpl
    def ltcore_register_losses(self):
        return [NonsenseLoss]


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("none", "a NoneType"),
        ("detached", "without gradient"),
        ("vector", r"shape \(8,\)"),
        ("complex", "torch.complex64"),
    ],
)
def test_run_names_a_loss_that_gives_nonsense_with_its_step(tmp_path, what, found):
    with pytest.raises(ltcore.PluginError, match=rf"loss: epoch 0, step 0: .*{found}.*'nonsense'"):
        ltcore.run(
            spec(loss={"name": "nonsense", "what": what}),
            out=tmp_path,
            plugins=[PLUGIN, NonsensePlugin()],
        )


def test_run_names_the_component_that_raised(tmp_path):
    with pytest.raises(ltcore.LtcoreError, match="'nonsense' of .* raised ValueError: no such"):
        ltcore.run(
            spec(loss={"name": "nonsense", "what": "raises"}),
            out=tmp_path,
            plugins=[PLUGIN, NonsensePlugin()],
        )


def test_run_refuses_deferred_weights_on_a_loss_without_samples(tmp_path):
    with pytest.raises(ltcore.SpecError, match="loss.drw: 'nonsense' gives no per-sample values"):
        ltcore.run(
            spec(loss={"name": "nonsense", "drw": {"start_epoch": 0}}),
            out=tmp_path,
            plugins=[PLUGIN, NonsensePlugin()],
        )


class Listener:
    def __init__(self) -> None:
        self.heard = []

    @ltcore.hookimpl
    def ltcore_run_started(self, spec, run):
        self.heard.append(("started", spec.name, run.train_images))

    @ltcore.hookimpl
    def ltcore_epoch_finished(self, run, row):
        self.heard.append(("epoch", row.epoch))

    @ltcore.hookimpl
    def ltcore_run_finished(self, results):
        self.heard.append(("finished", results.path.exists()))


class Raising(Listener):
    @ltcore.hookimpl
    def ltcore_epoch_finished(self, run, row):
        raise RuntimeError("lost the connection")


def test_run_tells_its_listeners(tmp_path):
    listener = Listener()
    results = ltcore.run(spec(), out=tmp_path, plugins=[PLUGIN, listener])
    assert listener.heard == [
        ("started", results.name, 22),
        *(("epoch", epoch) for epoch in range(3)),
        ("finished", True),
    ]


def test_run_switches_a_raising_listener_off_with_one_warning(tmp_path):
    good = Listener()
    with pytest.warns(ltcore.LtcoreWarning, match="lost the connection") as caught:
        ltcore.run(spec(), out=tmp_path, plugins=[PLUGIN, Raising(), good])
    assert len(caught) == 1
    assert good.heard[-1] == ("finished", True)


def test_run_embedded_prints_nothing_and_leaves_the_process_alone(tmp_path, capfd):
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(tmp_path)
    assert torch.equal(torch.rand(3), expected)
    assert {s: signal.getsignal(s) for s in handlers} == handlers
    assert capfd.readouterr() == ("", "")


def test_run_takes_a_run_spec_and_its_own_stored_one(tmp_path):
    first = run(tmp_path / "a")
    again = ltcore.run(first.spec, out=tmp_path / "b", plugins=[PLUGIN])
    assert again.name == first.name
    assert same_numbers(first, again)


def test_stored_spec_is_complete_json(tmp_path):
    stored = json.loads(run(tmp_path).spec.to_json())
    assert stored["transform"]["size"] == 8
    assert stored["training"]["select"] == "best"
    assert stored["dataset"] == {
        "name": "blobs",
        "counts": [12, 6, 3, 1],
        "protocol_test": False,
        "flip_test_labels": False,
    }


def test_run_reports_a_folder_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ltcore.SurroundingsError, match="cannot be written"):
        run(tmp_path / "file")


def test_results_path_is_absolute_or_as_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = ltcore.run(spec(), plugins=[PLUGIN])
    assert results.path == Path("results") / f"{results.name}.h5"
