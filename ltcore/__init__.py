"""ltcore: long-tailed image recognition, from one spec to a report with every number recomputed.

The public names below arrive when they are first used: ``import ltcore`` brings in neither torch
nor numpy, and a plugin that only declares components pays for no more than it declares.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ltcore import protocol, testing
    from ltcore.api import (
        build_backbone,
        build_loss,
        load_dataset,
        load_spec,
        run,
    )
    from ltcore.comparison import Comparison
    from ltcore.components import (
        Backbone,
        Dataset,
        Field,
        Loss,
        Metric,
        Normalization,
        Reporter,
        Seeds,
    )
    from ltcore.errors import (
        CheckpointError,
        DataError,
        ExistingResultsError,
        LtcoreError,
        LtcoreWarning,
        NonFiniteError,
        PluginError,
        ResultsFileError,
        RunningElsewhereError,
        SpecError,
        StoppedError,
        SurroundingsError,
    )
    from ltcore.hookspecs import hookimpl
    from ltcore.measures import Metrics
    from ltcore.offline import evaluate, report
    from ltcore.plugins import load_plugins
    from ltcore.progress import EpochRow, RunInfo
    from ltcore.results import Results
    from ltcore.results_files import read_results, write_results
    from ltcore.running.heads import CosineHead, LinearHead, replace_head
    from ltcore.running.losses import AdjustedCrossEntropy, PerSampleLoss
    from ltcore.spec import RunSpec
    from ltcore.splits import Classes, ImageFiles, Split, Splits

_MODULE_OF = {
    "protocol": "ltcore",
    "testing": "ltcore",
    "build_backbone": "ltcore.api",
    "build_loss": "ltcore.api",
    "evaluate": "ltcore.offline",
    "load_dataset": "ltcore.api",
    "load_spec": "ltcore.api",
    "report": "ltcore.offline",
    "run": "ltcore.api",
    "Comparison": "ltcore.comparison",
    "Backbone": "ltcore.components",
    "Dataset": "ltcore.components",
    "Field": "ltcore.components",
    "Loss": "ltcore.components",
    "Normalization": "ltcore.components",
    "Reporter": "ltcore.components",
    "Seeds": "ltcore.components",
    "CheckpointError": "ltcore.errors",
    "RunningElsewhereError": "ltcore.errors",
    "StoppedError": "ltcore.errors",
    "DataError": "ltcore.errors",
    "ExistingResultsError": "ltcore.errors",
    "LtcoreError": "ltcore.errors",
    "LtcoreWarning": "ltcore.errors",
    "NonFiniteError": "ltcore.errors",
    "PluginError": "ltcore.errors",
    "ResultsFileError": "ltcore.errors",
    "SpecError": "ltcore.errors",
    "SurroundingsError": "ltcore.errors",
    "hookimpl": "ltcore.hookspecs",
    "load_plugins": "ltcore.plugins",
    "EpochRow": "ltcore.progress",
    "RunInfo": "ltcore.progress",
    "Metric": "ltcore.components",
    "Metrics": "ltcore.measures",
    "Results": "ltcore.results",
    "read_results": "ltcore.results_files",
    "write_results": "ltcore.results_files",
    "CosineHead": "ltcore.running.heads",
    "LinearHead": "ltcore.running.heads",
    "replace_head": "ltcore.running.heads",
    "AdjustedCrossEntropy": "ltcore.running.losses",
    "PerSampleLoss": "ltcore.running.losses",
    "RunSpec": "ltcore.spec",
    "Classes": "ltcore.splits",
    "ImageFiles": "ltcore.splits",
    "Split": "ltcore.splits",
    "Splits": "ltcore.splits",
}

__all__ = [
    "AdjustedCrossEntropy",
    "Backbone",
    "CheckpointError",
    "Classes",
    "Comparison",
    "CosineHead",
    "DataError",
    "Dataset",
    "EpochRow",
    "ExistingResultsError",
    "Field",
    "ImageFiles",
    "LinearHead",
    "Loss",
    "LtcoreError",
    "LtcoreWarning",
    "Metric",
    "Metrics",
    "NonFiniteError",
    "Normalization",
    "PerSampleLoss",
    "PluginError",
    "Reporter",
    "Results",
    "ResultsFileError",
    "RunInfo",
    "RunSpec",
    "RunningElsewhereError",
    "Seeds",
    "SpecError",
    "Split",
    "Splits",
    "StoppedError",
    "SurroundingsError",
    "build_backbone",
    "build_loss",
    "evaluate",
    "hookimpl",
    "load_dataset",
    "load_plugins",
    "load_spec",
    "protocol",
    "read_results",
    "replace_head",
    "report",
    "run",
    "testing",
    "write_results",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("ltcore")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'ltcore' has no attribute {name!r}")
    module = _MODULE_OF[name]
    if module == "ltcore":
        return importlib.import_module(f"ltcore.{name}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
