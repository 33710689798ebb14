"""Published accuracies, validated: those that come with ltcore, or a JSON file of the user's.

Nothing here knows a run; :mod:`ltcore.reporting.published` sets one against them.
"""

from __future__ import annotations

import os
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, ValidationError, model_validator

from ltcore.components import Declaration
from ltcore.documents import read_document
from ltcore.errors import SpecError
from ltcore.mistakes import cut, did_you_mean, mistakes_in, shown

Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1)]


class ReferenceRow(Declaration):
    """What a source publishes of one method, trained in one way.

    Attributes:
        dataset, backbone: as a spec names them.
        train: ``balanced`` where all classes have equally many training images.
        imbalance_ratio: the largest class count over the smallest, as asked for: 100 is an
            imbalance factor of 0.01. None says nothing of it, and goes with all.
        loss: as a spec names it; None for a method that ltcore does not have.
        parameters: those of the loss that the source gives.
        drw: whether the loss was re-weighted late in training.
        logit_adjustment: the tau by which the logits were adjusted after training.
        label: what the names do not say; the method's name where ``loss`` is None.
        recipe: which of the reference's recipes trained it.
        source: where it is published; None where that is the reference's source.
        evidence: whether it was read in its source, or a copy, or remembered from it.
        table: the source's table.
        top1: view -> share of the view's images that were right, in [0, 1].
        std: view -> standard deviation over seeds.
        seeds: how many runs were averaged, where the source says so.
    """

    dataset: Text
    train: Literal["balanced", "long_tailed"]
    imbalance_ratio: float | None = Field(default=None, ge=1)
    backbone: Text
    loss: Text | None
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    drw: bool = False
    logit_adjustment: float | None = None
    label: Text | None = None
    recipe: Text | None = None
    source: Text | None = None
    evidence: Literal["read", "remembered"] = "read"
    table: Text | None = None
    top1: dict[str, Share]
    std: dict[str, Share] = Field(default_factory=dict)
    seeds: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _says_what_it_is(self) -> Self:
        if self.loss is None and self.label is None:
            raise ValueError("a row without a loss needs a label, the name of its method")
        if not self.top1:
            raise ValueError("top1 has no view")
        if unknown := [view for view in self.std if view not in self.top1]:
            raise ValueError(f"std has {shown(unknown[0])}, and top1 has no such view")
        return self


class Benchmark(Declaration):
    """An accuracy that the source compares itself to, of other images or training.

    Attributes:
        backbone: whose results the source sets against it.
        label: the model, as the source calls it.
        top1: in [0, 1].
        note: where the source names it.
    """

    backbone: Text
    label: Text
    top1: Share
    note: Text | None = None


class Reference(Declaration):
    """Published accuracies of one source, or of several that share their test images.

    Attributes:
        name: what ``--compare`` calls it.
        title: what it is, in one line.
        source: where it is published.
        note: what to know before comparing with it.
        images: view -> test images behind it; a view that is not here has no known number.
        recipes: by id, how the rows were trained.
        benchmarks: what the source compares itself to.
        rows: the accuracies.
    """

    name: Text
    title: Text
    source: Text
    note: Text | None = None
    images: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    recipes: dict[str, Text] = Field(default_factory=dict)
    benchmarks: tuple[Benchmark, ...] = Field(default=(), strict=False)
    rows: tuple[ReferenceRow, ...] = Field(strict=False)

    @model_validator(mode="after")
    def _has_the_recipes(self) -> Self:
        missing = [
            f"rows.{position}.recipe: no recipe is called {cut(row.recipe)!r}."
            f"{did_you_mean(row.recipe, self.recipes)}"
            for position, row in enumerate(self.rows)
            if row.recipe is not None and row.recipe not in self.recipes
        ]
        if missing:
            raise ValueError("\n".join(missing))
        return self


def reference_names() -> tuple[str, ...]:
    """The references that come with ltcore."""
    return tuple(sorted(_built_in()))


def load_reference(name: str | os.PathLike[str]) -> Reference:
    """Read a reference, and check it.

    Args:
        name: that of one that comes with ltcore, or else the path of a JSON file.

    Raises:
        SpecError: neither; or the file is no reference, with every mistake that was found.
    """
    built_in = _built_in()
    text = os.fspath(name)
    if text in built_in:
        with as_file(built_in[text]) as path:
            return _read(path)
    if not os.path.exists(text):  # noqa: PTH110 - Path.exists raises where a name is too long
        raise SpecError(
            f"no reference is called {cut(text)!r}, and no file.{did_you_mean(text, built_in)} "
            f"There are: {', '.join(sorted(built_in))}; or give the path of a JSON file"
        )
    return _read(Path(text))


def _built_in() -> dict[str, Traversable]:
    folder = files("ltcore.reporting") / "references"
    return {
        item.name.removesuffix(".json"): item
        for item in folder.iterdir()
        if item.name.endswith(".json")
    }


def _read(path: Path) -> Reference:
    document = read_document(path)
    try:
        return Reference.model_validate(document)
    except ValidationError as error:
        raise SpecError(mistakes_in(error, document, Reference), os.fspath(path)) from None
