"""One run: build, train, predict, hand over the results. It reads from top to bottom."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ltcore.listeners import Listeners
from ltcore.outcome import ResolvedSpec
from ltcore.plugins import Plugin
from ltcore.predictions import Predictions
from ltcore.progress import EpochRow, RunInfo
from ltcore.ranks import Rank, this_rank
from ltcore.results import Results
from ltcore.results_files import write_results
from ltcore.running.allocation import keeping_memory
from ltcore.running.augmentation import Augmentation
from ltcore.running.batches import Batches
from ltcore.running.building import (
    batch_norm_scope,
    build_criterion,
    build_model,
    check_batch_size,
    check_model,
    synchronize_batch_norm,
    trained_prior,
)
from ltcore.running.checking import blame
from ltcore.running.checkpoints import Checkpoints, publish_weights
from ltcore.running.devices import (
    current_device,
    deterministic_algorithms,
    environment,
    warn_of_emulation,
)
from ltcore.running.exchange import parallel
from ltcore.running.graphs import graphed, refuse_what_has_no_graph
from ltcore.running.group import Group, joined
from ltcore.running.images import machine_memory
from ltcore.running.optimization import build_optimizer
from ltcore.running.prediction import predict
from ltcore.running.training import EpochSums, TrainingState, train
from ltcore.splits import Splits
from ltcore.stopping import StopRequest

Selection = Literal["val", "last", "test"]


def execute(
    resolved: ResolvedSpec,
    path: Path,
    plugins: Sequence[Plugin],
    stop: StopRequest,
    failed: Callable[[BaseException], None] | None = None,
    *,
    own_process: bool = False,
) -> Results:
    """Run a resolved spec from its checkpoint, or its first epoch, to its results file.

    Every rank computes the same results; the first one writes them.

    Args:
        resolved: the spec and its components.
        path: where the results file goes; the weights stand beside it, the checkpoint in the
            folder of its name.
        plugins: whose notification hooks are called.
        stop: a way to ask the run to stop.
        failed: of several ranks that have met, the one that fails first calls this with its error.
        own_process: the process does nothing but this run; see :func:`keeping_memory`.

    Raises:
        LtcoreError: see :mod:`ltcore.errors` for the kinds.
    """
    rank, settings = this_rank(), resolved.spec.training
    with (
        joined(rank, settings.device, settings.timeout_seconds, failed) as group,
        current_device(group.device),
        torch.random.fork_rng([group.device] if group.device.type == "cuda" else []),
        deterministic_algorithms(settings.deterministic),
    ):
        listeners = Listeners(plugins if rank.first else ())
        return _execute(resolved, path, group, listeners, stop, own_process)


def _execute(
    resolved: ResolvedSpec,
    path: Path,
    group: Group,
    listeners: Listeners,
    stop: StopRequest,
    own_process: bool,
) -> Results:
    stop.refuse()  # it may have been asked for while a package was imported
    begun = time.monotonic()
    spec, settings = resolved.spec, resolved.spec.training
    rank, device = group.rank, group.device
    seeds = spec.resolved_seeds()
    refuse_what_has_no_graph(settings, device, rank)
    warn_of_emulation(device, settings.precision)

    with group.in_turn(), blame(resolved.described("dataset")):
        splits = resolved.dataset.build(seeds)
    if not rank.alone:
        group.refuse_unlike(_identity(resolved, splits))
    check_batch_size(settings.batch_size, splits, rank.of)
    classes = splits.classes

    torch.manual_seed(seeds.init)
    with group.in_turn():
        model = build_model(resolved, len(classes)).to(device)
    if settings.sync_batch_norm:
        model = synchronize_batch_norm(model, device, rank)
    images = check_model(model, resolved, len(classes), device)
    criterion = build_criterion(resolved.loss, classes).to(device)
    batches = _batches(splits, resolved, device, rank)
    state = TrainingState(
        model=model,
        criterion=criterion,
        optimizer=build_optimizer(settings.optimizer, model.parameters()),
        scaler=torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16"),
        sums=EpochSums(device),
    )
    checkpoints = Checkpoints(
        path.with_suffix("") / "checkpoint.pt",
        group,
        minutes=settings.checkpoint_minutes,
        stop=stop,
    )
    checkpoints.restore(state)
    earlier = state.seconds + sum(row.seconds for row in state.history)

    run = _run_info(resolved, splits, state, path, device, rank)
    listeners.notify("ltcore_run_started", spec=spec, run=run)

    def after_epoch(row: EpochRow) -> None:
        listeners.notify("ltcore_epoch_finished", run=run, row=row)

    if settings.compile:
        # A run that goes on compiles in another order: shapes that became dynamic on the way would
        # be others, and so would its numbers.
        model.compile(dynamic=False)
    forward = (
        graphed(model, settings, images.shape[-1], device)
        if settings.cuda_graphs
        else parallel(model, images, rank)
    )
    between_steps: Callable[[TrainingState], None] = checkpoints.between_steps
    if own_process and device.type == "cpu":
        # those of several ranks lie in the buckets in which they are exchanged
        parameters = model.parameters() if rank.alone else ()
        between_steps = keeping_memory(between_steps, parameters)
    blamed = f"{resolved.described('backbone')}, or {resolved.described('loss')},"
    with stop.waiting(), blame(blamed):
        train(
            state,
            batches["train"],
            batches["val"],
            settings=settings,
            seeds=seeds,
            group=group,
            forward=forward,
            between_steps=between_steps,
            save=checkpoints.save,
            after_epoch=after_epoch,
        )
    if group.settled_to_stop(stop):
        stop.refuse()
    predictions = partial(_predictions, model, splits, batches, settings.precision, rank)
    last = predictions() if settings.keep_last else {}
    epoch, selection = _select_weights(state, resolved, splits)
    chosen = predictions()

    results = Results(
        spec=spec,
        name=run.name,
        classes=classes,
        test=chosen["test"],
        val=chosen.get("val"),
        last=last,
        train_ids=splits.train.ids,
        history=_columns(state.history),
        best_epoch=epoch,
        selection=selection,
        val_is_test=splits.val_is_test,
        trained_prior=trained_prior(resolved.loss),
        parameters=run.parameters,
        seconds=earlier + time.monotonic() - begun,
        ltcore_version=version("ltcore"),
        plugins=resolved.plugins,
        environment=environment(device, rank.of) | {"batch_norm": batch_norm_scope(model, rank)},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        path=path,
        verified=True,
    )
    if rank.first:
        publish_weights(model, path.with_suffix(".safetensors"))
        write_results(results, path)
    listeners.notify("ltcore_run_finished", results=results)
    return results


def _identity(resolved: ResolvedSpec, splits: Splits) -> bytes:
    """What two ranks of one run have in common: the spec, and the images with their labels."""
    parts = [json.dumps(resolved.outcome(), sort_keys=True).encode()]
    for split in (splits.train, splits.val, splits.test):
        parts += ["\0".join(split.ids.tolist()).encode(), split.labels.tobytes()]
    return b"\0".join(parts)


def _batches(
    splits: Splits, resolved: ResolvedSpec, device: torch.device, rank: Rank
) -> dict[str, Batches]:
    """The batches of train, val and test; val's stand for test's where they are one split."""
    settings = resolved.spec.training
    order = resolved.spec.resolved_seeds().order
    augmentation = Augmentation(
        resolved.spec.transform, resolved.backbone, seed=order, device=device
    )
    room = machine_memory() / 2 if settings.image_gb is None else 1e9 * settings.image_gb

    def of(split: str, batch_size: int, taken: int) -> Batches:
        return Batches(
            getattr(splits, split),
            augmentation,
            batch_size=batch_size,
            device=device,
            rank=rank,
            room=room / rank.of - taken,
        )

    val = of("val", settings.eval_batch_size, 0)
    taken = val.images.held_bytes
    test = val if splits.val_is_test else of("test", settings.eval_batch_size, taken)
    taken += test.images.held_bytes
    return {"train": of("train", settings.batch_size, taken), "val": val, "test": test}


def _run_info(
    resolved: ResolvedSpec,
    splits: Splits,
    state: TrainingState,
    path: Path,
    device: torch.device,
    rank: Rank,
) -> RunInfo:
    return RunInfo(
        name=str(resolved.spec.name),
        out=path.parent,
        epochs=resolved.spec.training.epochs,
        train_images=len(splits.train),
        val_images=len(splits.val),
        test_images=len(splits.test),
        num_classes=len(splits.classes),
        parameters=sum(parameter.numel() for parameter in state.model.parameters()),
        device=str(device),
        epoch=state.epoch,
        step=state.step,
        ranks=rank.of,
    )


def _select_weights(
    state: TrainingState, resolved: ResolvedSpec, splits: Splits
) -> tuple[int, Selection]:
    """Put the tested epoch's weights into the model; that epoch, and what chose it."""
    if resolved.spec.training.select == "last" or state.best is None:
        return state.epoch - 1, "last"
    state.model.load_state_dict(state.best.weights)
    return state.best.epoch, "test" if splits.val_is_test else "val"


def _predictions(
    model: nn.Module, splits: Splits, batches: Mapping[str, Batches], precision: str, rank: Rank
) -> dict[str, Predictions]:
    """What the model says of test, and of val where that is another split."""
    names = ("test",) if splits.val_is_test else ("test", "val")
    result = {}
    for name in names:
        split = getattr(splits, name)
        logits = predict(model, batches[name], precision, rank).cpu().numpy()
        result[name] = Predictions.from_logits(logits, split.labels, split.ids, split.views)
    return result


def _columns(history: Sequence[EpochRow]) -> dict[str, NDArray[Any]]:
    names = EpochRow.__dataclass_fields__
    return {name: np.array([getattr(row, name) for row in history]) for name in names}
