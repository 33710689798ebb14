"""Live curves for TensorBoard: a listener on the notification hooks."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ltcore.errors import PluginError
from ltcore.hookspecs import hookimpl
from ltcore.progress import EpochRow, RunInfo
from ltcore.results import Results
from ltcore.spec import RunSpec

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard:
    """Writes each epoch's row to ``<out>/tensorboard/<name>``.

    Raises:
        PluginError: on construction, where the package tensorboard is not installed.
    """

    def __init__(self) -> None:
        from importlib.util import find_spec

        if find_spec("tensorboard") is None:
            raise PluginError(
                "--tensorboard: the package tensorboard is not installed. "
                "pip install 'ltcore[tensorboard]'"
            )
        self._writer: SummaryWriter | None = None

    @hookimpl
    def ltcore_run_started(self, spec: RunSpec, run: RunInfo) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(run.out / "tensorboard" / run.name)
        self._writer.add_text("spec", f"```json\n{spec.model_dump_json(indent=1)}\n```")

    @hookimpl
    def ltcore_epoch_finished(self, run: RunInfo, row: EpochRow) -> None:
        if self._writer is not None:
            for name, value in asdict(row).items():
                if name != "epoch":
                    self._writer.add_scalar(name, value, row.epoch)
            self._writer.flush()

    @hookimpl
    def ltcore_run_finished(self, results: Results) -> None:
        if self._writer is not None:
            self._writer.close()
