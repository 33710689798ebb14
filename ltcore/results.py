"""What a run leaves behind: the typed results, and the layout of the HDF5 file that holds them.

Nothing here knows torch or plugins, nor what is computed from the numbers. How a file is
published and verified byte by byte is :mod:`ltcore.publishing`'s, what is refused in a stranger's
:mod:`ltcore.hdf5`'s, and what must fit together :mod:`ltcore.consistency`'s.

Schema versions:

1   Root attributes (JSON where structured); /classes, /train/id, /test, /val, /last, /history.
    A reader needs format, schema_version, spec, /classes and /test.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ltcore.consistency import inconsistency, non_finite
from ltcore.errors import NonFiniteError, ResultsFileError, one_line, printable
from ltcore.hdf5 import PlainReader
from ltcore.heaps import refuse_endless_heaps
from ltcore.predictions import Predictions
from ltcore.publishing import USER_BLOCK, publish, verify
from ltcore.spec import RunSpec
from ltcore.splits import Classes

FORMAT = "ltcore-results"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Results:
    """One finished run, as :func:`ltcore.run` returns it and a results file holds it.

    Attributes:
        spec: the resolved spec, the one that ran.
        name: the run's name.
        classes: names, training counts and groups of the K classes.
        test: what the chosen epoch's weights say of the test split, with its views.
        val: the same of the validation split; None where val is test.
        last: ``test`` and ``val`` of the last epoch, where ``training.keep_last`` asked for it.
        train_ids: (n,) str, the images trained on.
        history: column -> (epochs,) epoch, lr, train_loss, train_top1, val_loss, val_top1, seconds.
        best_epoch: the epoch, from 0, whose weights made the logits.
        selection: what chose that epoch: ``val``, ``last``, or ``test`` where val is test.
        val_is_test: whether validation and test are the same images.
        trained_prior: the class prior that the logits are right for: ``train`` or ``uniform``.
        parameters: of the model.
        seconds: wall time of the run.
        ltcore_version, plugins, environment: what ran it; plugins map distribution to version.
        created: UTC, ISO 8601.
        origin: ``accuracies`` where the predictions were made up to give published accuracies, so
            that nothing but top-1 means anything.
        path: where the file lies.
        verified: whether the file carried a checksum that held.
    """

    spec: RunSpec
    name: str
    classes: Classes
    test: Predictions
    val: Predictions | None = None
    last: Mapping[str, Predictions] = field(default_factory=dict)
    train_ids: NDArray[np.str_] | None = None
    history: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    best_epoch: int | None = None
    selection: Literal["val", "last", "test"] | None = None
    val_is_test: bool = False
    trained_prior: Literal["train", "uniform"] | None = None
    parameters: int | None = None
    seconds: float | None = None
    ltcore_version: str | None = None
    plugins: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    created: str | None = None
    origin: str | None = None
    path: Path | None = None
    verified: bool = False


_TEXTS = ("ltcore_version", "created", "origin", "selection", "trained_prior")
_WHOLE_NUMBERS = ("best_epoch", "parameters")
_SPLITS = ("test", "val")


def write_results(results: Results, path: str | os.PathLike[str]) -> Path:
    """Write a results file: complete and durable under its name, or not at all.

    The temporary file lies in the folder ``<path without .h5>/``, the run's own.

    Args:
        results: what to write; ``path`` and ``verified`` of it are not stored.
        path: the file, ending in ``.h5``.

    Raises:
        ResultsFileError: the path ends otherwise, or the parts of the results do not fit together:
            an image that is not scored exactly once, say.
        NonFiniteError: a logit is NaN or infinite.
        SurroundingsError: disk full, or no permission.
    """
    target = Path(path)
    if target.suffix != ".h5":
        raise ResultsFileError(f"{target}: not written: a results file's name must end in .h5")
    where = non_finite(results)
    if where:
        raise NonFiniteError(f"{target}: not written: {where} holds a NaN or an infinity")
    problem = inconsistency(results)
    if problem:
        raise ResultsFileError(f"{target}: not written: {problem}")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=USER_BLOCK) as file:
        try:
            _write_into(file, results)
        except UnicodeEncodeError as error:
            raise ResultsFileError(
                f"{target}: not written: {error.object!r} is not valid Unicode"
            ) from None
    publish(buffer.getbuffer(), target)
    return target


def _write_into(file: h5py.File, results: Results) -> None:
    attributes = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "name": results.name,
        "status": "complete",
        "spec": results.spec.to_json(),
        "plugins": json.dumps(dict(results.plugins), sort_keys=True),
        "environment": json.dumps(dict(results.environment), sort_keys=True),
        "seconds": results.seconds,
        "val_is_test": results.val_is_test,
        **{name: getattr(results, name) for name in (*_TEXTS, *_WHOLE_NUMBERS)},
    }
    for name, value in attributes.items():
        if value is not None:
            file.attrs[name] = value
    file["classes/name"] = _utf8(results.classes.names)
    file["classes/count"] = results.classes.counts.astype(np.int64)
    file["classes/group"] = results.classes.groups.astype(np.uint8)
    if results.train_ids is not None:
        file["train/id"] = _utf8(results.train_ids)
    splits = {"test": results.test, "val": results.val}
    splits |= {f"last/{name}": split for name, split in results.last.items()}
    for path, split in splits.items():
        if split is not None:
            _write_predictions(file, path, split)
    for column, values in results.history.items():
        file[f"history/{column}"] = values


def _write_predictions(file: h5py.File, path: str, split: Predictions) -> None:
    file[f"{path}/logits"] = split.logits
    file[f"{path}/prediction"] = split.prediction.astype(np.int32)
    file[f"{path}/label"] = split.label.astype(np.int32)
    file[f"{path}/id"] = _utf8(split.id)
    for view, indices in split.views.items():
        file[f"{path}/views/{view}"] = indices.astype(np.int64)


def _utf8(values: Sequence[str] | NDArray[np.str_]) -> NDArray[Any]:
    encoded = np.char.encode(np.asarray(values, dtype=np.str_), "utf-8")
    return encoded.astype(h5py.string_dtype("utf-8", max(encoded.dtype.itemsize, 1)))


def read_results(path: str | os.PathLike[str], *, test_only: bool = False) -> Results:
    """Read a results file, ltcore's own or one of any program written to the schema.

    Args:
        path: the file.
        test_only: leave out validation logits, the last epoch's, the training ids and the history.

    Raises:
        ResultsFileError: missing, damaged, newer, or no results file; the message names it.
    """
    source = Path(path)
    try:
        verified = verify(source)
        if not verified:
            refuse_endless_heaps(source)
        with h5py.File(source, "r") as file:
            reader = PlainReader(file, source.stat().st_size)
            results = _read_from(reader, source, verified=verified, test_only=test_only)
        where = non_finite(results)
        problem = f"{where} holds a NaN or an infinity" if where else inconsistency(results)
    except FileNotFoundError:
        problem = "no such file"
    except ResultsFileError as error:
        problem = str(error)
    except Exception as error:  # what HDF5 raises on damage is not settled
        problem = f"cannot be read: {one_line(error)}"
    if problem:
        raise ResultsFileError(printable(f"{source}: {problem}"))
    return results


def _read_from(reader: PlainReader, source: Path, *, verified: bool, test_only: bool) -> Results:
    if reader.text("format") != FORMAT:
        raise ResultsFileError(
            "an HDF5 file, but no results file of ltcore (its attribute 'format' is not "
            f"{FORMAT!r})"
        )
    version = reader.whole_number("schema_version")
    if version is None or version < 1:
        raise ResultsFileError(f"its attribute 'schema_version' is {version}, should be 1 or more")
    if version > SCHEMA_VERSION:
        raise ResultsFileError(
            f"written to schema version {version}, this ltcore reads up to {SCHEMA_VERSION}. "
            "Install a newer ltcore."
        )
    spec = _read_spec(reader)
    return Results(
        spec=spec,
        name=reader.text("name") or spec.name or source.stem,
        classes=Classes(
            names=tuple(reader.strings("classes/name").tolist()),
            counts=reader.numbers("classes/count", np.int64, ndim=1),
            groups=reader.numbers("classes/group", np.uint8, ndim=1),
        ),
        test=_read_predictions(reader, "test"),
        val=_read_predictions(reader, "val") if "val" in reader and not test_only else None,
        last={
            name: _read_predictions(reader, f"last/{name}")
            for name in reader.members("last")
            if name in _SPLITS and not test_only
        },
        train_ids=reader.strings("train/id") if "train" in reader and not test_only else None,
        history={
            column: reader.numbers(
                f"history/{column}", np.int64 if column == "epoch" else np.float64, ndim=1
            )
            for column in reader.members("history")
            if not test_only
        },
        plugins=reader.json_object("plugins"),
        environment=reader.json_object("environment"),
        seconds=reader.number("seconds"),
        val_is_test=bool(reader.number("val_is_test")),
        path=source,
        verified=verified,
        **{name: reader.text(name) for name in _TEXTS},  # type: ignore[arg-type]
        **{name: reader.whole_number(name) for name in _WHOLE_NUMBERS},  # type: ignore[arg-type]
    )


def _read_spec(reader: PlainReader) -> RunSpec:
    text = reader.text("spec")
    if text is None:
        raise ResultsFileError("its attribute 'spec' is missing")
    try:
        return RunSpec.model_validate_json(text, extra="ignore")
    except ValidationError as error:
        mistake = error.errors()[0]
        field = ".".join(map(str, mistake["loc"])) or "the whole"
        raise ResultsFileError(f"its spec is not valid: {field}: {mistake['msg']}") from None


def _read_predictions(reader: PlainReader, path: str) -> Predictions:
    return Predictions(
        logits=reader.numbers(f"{path}/logits", np.float32, ndim=2),
        prediction=reader.numbers(f"{path}/prediction", np.int32, ndim=1),
        label=reader.numbers(f"{path}/label", np.int32, ndim=1),
        id=reader.strings(f"{path}/id"),
        views={
            view: reader.numbers(f"{path}/views/{view}", np.int64, ndim=1)
            for view in reader.members(f"{path}/views")
        },
    )
