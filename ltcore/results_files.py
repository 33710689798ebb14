"""The layout of the HDF5 files that hold results: how they are written, and read from strangers.

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
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ltcore.consistency import inconsistency, non_finite
from ltcore.errors import NonFiniteError, ResultsFileError, one_line, printable
from ltcore.hdf5 import PlainReader, write_array
from ltcore.heaps import refuse_endless_heaps
from ltcore.predictions import Predictions
from ltcore.publishing import USER_BLOCK, publish, verify
from ltcore.results import Outcome, Results
from ltcore.splits import Classes

if TYPE_CHECKING:
    from ltcore.spec import RunSpec

FORMAT = "ltcore-results"
SCHEMA_VERSION = 1

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
    write_array(file, "classes/name", _utf8(results.classes.names))
    write_array(file, "classes/count", results.classes.counts.astype(np.int64))
    write_array(file, "classes/group", results.classes.groups.astype(np.uint8))
    if results.train_ids is not None:
        write_array(file, "train/id", _utf8(results.train_ids))
    splits = {"test": results.test, "val": results.val}
    splits |= {f"last/{name}": split for name, split in results.last.items()}
    for path, split in splits.items():
        if split is not None:
            _write_predictions(file, path, split)
    for column, values in results.history.items():
        write_array(file, f"history/{column}", values)


def _write_predictions(file: h5py.File, path: str, split: Predictions) -> None:
    write_array(file, f"{path}/logits", split.logits)
    write_array(file, f"{path}/prediction", split.prediction.astype(np.int32))
    write_array(file, f"{path}/label", split.label.astype(np.int32))
    write_array(file, f"{path}/id", _utf8(split.id))
    for view, indices in split.views.items():
        write_array(file, f"{path}/views/{view}", indices.astype(np.int64))


def _utf8(values: Sequence[str] | NDArray[np.str_]) -> NDArray[Any]:
    """Strings of UTF-8, in as many bytes as the longest has."""
    texts = np.ascontiguousarray(values, dtype=np.str_)
    codes = texts.view(np.uint32).reshape(len(texts), texts.itemsize // 4)
    if codes.max(initial=0) < 128:  # ASCII alone, byte for byte, and many times as fast
        encoded = codes.astype(np.uint8).view(f"S{codes.shape[1]}")[:, 0]
    else:
        encoded = np.char.encode(texts, "utf-8")
    width = int(np.char.str_len(encoded).max(initial=1))
    return encoded.astype(h5py.string_dtype("utf-8", width))


def read_results(path: str | os.PathLike[str], *, test_only: bool = False) -> Results:
    """Read a results file, ltcore's own or one of any program written to the schema.

    Args:
        path: the file.
        test_only: leave out validation logits, the last epoch's, the training ids and the history.

    Raises:
        ResultsFileError: missing, damaged, newer, or no results file; the message names it.
    """
    outcome, spec = read_outcome(path, test_only=test_only)
    return Results(**vars(outcome), spec=parsed_spec(spec, path))


def read_outcome(path: str | os.PathLike[str], *, test_only: bool = False) -> tuple[Outcome, str]:
    """Read a results file but for its spec, which comes as the text that the file holds.

    The models that a spec is parsed with take as long to import as dozens of files to read.

    Args:
        path: as in :func:`read_results`.
        test_only: likewise.

    Raises:
        ResultsFileError: as there, but for a spec that is not valid.
    """
    source = Path(path)
    try:
        verified = verify(source)
        if not verified:
            refuse_endless_heaps(source)
        with PlainReader(source) as reader:
            outcome, spec = _read_from(reader, source, verified=verified, test_only=test_only)
        where = non_finite(outcome)
        problem = f"{where} holds a NaN or an infinity" if where else inconsistency(outcome)
    except FileNotFoundError:
        problem = "no such file"
    except ResultsFileError as error:
        problem = str(error)
    except Exception as error:  # what HDF5 raises on damage is not settled
        problem = f"cannot be read: {one_line(error)}"
    if problem:
        raise ResultsFileError(printable(f"{source}: {problem}"))
    return outcome, spec


def parsed_spec(text: str, path: str | os.PathLike[str]) -> RunSpec:
    """The spec that a results file holds; fields that this ltcore does not know are left out.

    Args:
        text: of the spec.
        path: of the file, for the message.

    Raises:
        ResultsFileError: it is not valid.
    """
    from pydantic import ValidationError

    from ltcore.spec import RunSpec

    try:
        return RunSpec.model_validate_json(text, extra="ignore")
    except ValidationError as error:
        mistake = error.errors()[0]
        field = ".".join(map(str, mistake["loc"])) or "the whole"
        problem = f"{Path(path)}: its spec is not valid: {field}: {mistake['msg']}"
        raise ResultsFileError(printable(problem)) from None


def _read_from(
    reader: PlainReader, source: Path, *, verified: bool, test_only: bool
) -> tuple[Outcome, str]:
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
    spec = reader.text("spec")
    if spec is None:
        raise ResultsFileError("its attribute 'spec' is missing")
    outcome = Outcome(
        name=reader.text("name") or reader.json_object("spec").get("name") or source.stem,
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
    return outcome, spec


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
