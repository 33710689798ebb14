"""What several test modules share: toy components, and a folder to install plugins into."""

from __future__ import annotations

import os

# One thread a process, unless said otherwise: tests run side by side, and threads of several
# processes would spin. What compares a run's bits with another process's needs as many in both.
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch are imported

import importlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, ClassVar

import pytest

import ltcore
from ltcore.plugins import Catalogue, load_plugins


class ToyData(ltcore.Dataset):
    """A data set to be named in specs; it has no images."""

    name: ClassVar[str] = "toy_data"

    root: str = ltcore.Field(default="data", affects_outcome=False)
    factor: float = ltcore.Field(default=0.1, gt=0, le=1)
    shared: bool = False

    @property
    def val_is_test(self) -> bool:
        return self.shared

    def build(self, seeds: ltcore.Seeds) -> ltcore.Splits:
        raise ltcore.DataError("the toy data set has no images")


class ToyNet(ltcore.Backbone):
    """A backbone to be named in specs."""

    name: ClassVar[str] = "toy_net"
    input_size: ClassVar[int] = 16

    width: int = ltcore.Field(default=8, ge=1)

    def build(self, num_classes: int, head: str) -> Any:
        raise NotImplementedError


class ToyLoss(ltcore.Loss):
    """A loss to be named in specs."""

    name: ClassVar[str] = "toy_loss"

    lambda_: float = ltcore.Field(default=0.5, ge=0, alias="lambda")
    margins: tuple[float, ...] = (0.5, 0.1)

    def build(self, classes: ltcore.Classes) -> Any:
        raise NotImplementedError


class Toys:
    """A plugin to be passed by hand, with one component of each kind that a spec names."""

    @ltcore.hookimpl
    def ltcore_register_datasets(self) -> list[type[ltcore.Dataset]]:
        return [ToyData]

    @ltcore.hookimpl
    def ltcore_register_backbones(self) -> list[type[ltcore.Backbone]]:
        return [ToyNet]

    @ltcore.hookimpl
    def ltcore_register_losses(self) -> list[type[ltcore.Loss]]:
        return [ToyLoss]


@pytest.fixture
def toys() -> Toys:
    return Toys()


@pytest.fixture
def toy_spec() -> dict[str, Any]:
    return {"dataset": "toy_data", "backbone": "toy_net", "loss": "toy_loss"}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install a distribution whose one module holds the given code, and its entry point.

    Only what is installed in this way is found; the modules go again after the test.
    """
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr("ltcore.plugins.distributions", partial(distributions, path=[str(site)]))
    before = set(sys.modules)

    def install(name: str, code: str, *, version: str = "1.0", points: str | None = None) -> None:
        module = name.replace("-", "_")
        (site / f"{module}.py").write_text(code)
        info = site / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        points = f"[ltcore]\nplugin = {module}\n" if points is None else points
        (info / "entry_points.txt").write_text(points)
        importlib.invalidate_caches()

    yield install
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(site)):
            del sys.modules[name]


@pytest.fixture
def catalogue(toys: Toys, install: Callable[..., None]) -> Catalogue:
    """The toys alone."""
    return load_plugins(toys)
