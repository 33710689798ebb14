"""One epoch of training as ltcore's peers run it: Pillow, a DataLoader, a loop or a Trainer."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.loops import PlainLoop
from benchmarks.task import PIXELS, Task
from benchmarks.timing import CORES
from ltcore.running.augmentation import NORMALIZATIONS

STUDY = NORMALIZATIONS["study"]


def pil_transform(size: int, stored: int = PIXELS) -> transforms.Compose:
    """What every peer does to an image of CIFAR; to one of another size, resize it first."""
    resize = [] if size == stored else [transforms.Resize((size, size))]
    steps = [transforms.RandomCrop(size, padding=4), transforms.RandomHorizontalFlip()]
    steps += [transforms.ToTensor(), transforms.Normalize(STUDY.mean, STUDY.std)]
    return transforms.Compose(resize + steps)


class PilImages(Dataset[tuple[Tensor, int]]):
    """Images that Pillow and torchvision transform one by one."""

    def __init__(self, task: Task) -> None:
        self.images, self.labels = task.images(), task.labels().tolist()
        self.transform = pil_transform(task.size)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def data_loader(task: Task) -> DataLoader[Any]:
    """Images from a worker a core; the workers stay from one epoch to the next."""
    return DataLoader(
        PilImages(task),
        task.batch_size,
        shuffle=True,
        num_workers=CORES,
        persistent_workers=True,
        pin_memory=task.device.type == "cuda",
    )


def loader_loop(task: Task) -> PlainLoop:
    """The plain loop over a DataLoader, NCHW as Pillow's tensors are."""
    return PlainLoop(task, torch.contiguous_format, data_loader(task))


def timm_loop(task: Task) -> PlainLoop:
    """The plain loop over timm's loader, without its prefetcher, which is CUDA's."""
    images = PilImages(task)
    transform = images.transform
    loader = import_module("timm.data").create_loader(
        images,
        input_size=(3, task.size, task.size),
        batch_size=task.batch_size,
        is_training=True,
        use_prefetcher=False,
        num_workers=CORES,
        pin_memory=task.device.type == "cuda",
    )
    images.transform = transform  # timm has put its own there
    return PlainLoop(task, torch.contiguous_format, loader)


class LightningLoop:
    """The same DataLoader under Lightning's Trainer, timed from its asking for the loader on.

    Args:
        task: what is trained.
    """

    def __init__(self, task: Task) -> None:
        self.task, self.plain = task, loader_loop(task)
        self.lightning: Any = lightning_module()
        for name in ("lightning.pytorch", "pytorch_lightning"):
            logging.getLogger(name).setLevel(logging.ERROR)

    def __call__(self) -> float:
        task, plain = self.task, self.plain

        class Module(self.lightning.LightningModule):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.model, self.begun, self.seconds = plain.model, 0.0, 0.0

            def train_dataloader(self) -> Iterable[Any]:
                self.begun = task.now()
                return plain.batches

            def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
                images, labels = batch
                return F.cross_entropy(self.model(images), labels)

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return plain.optimizer

            def on_train_epoch_end(self) -> None:
                self.seconds = task.now() - self.begun

        module = Module()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = self.lightning.Trainer(
                max_epochs=1,
                accelerator=task.device.type,
                devices=1,
                precision="bf16-mixed" if task.precision == "bf16" else "32-true",
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.fit(module)
        return float(module.seconds)


def lightning_module() -> ModuleType | None:
    """Lightning under either of its names; None where it is not installed."""
    for name in ("lightning.pytorch", "pytorch_lightning"):
        if find_spec(name.partition(".")[0]):
            return import_module(name)
    return None
