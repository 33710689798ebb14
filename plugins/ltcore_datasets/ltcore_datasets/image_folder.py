"""Anybody's own images: what a spec can say of them."""

from __future__ import annotations

from pathlib import Path, PurePath, PurePosixPath
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

import ltcore

Factor = Annotated[float, Field(gt=0, le=1)]
ClassOrder = Literal["count", "label"] | Annotated[int, Field(ge=0, lt=2**63)]
Holdout = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)]


class ImageFolder(ltcore.Dataset):
    """Your own images, in class folders or named by list files; as they are, or made long-tailed.

    ``train``, ``val`` and ``test`` name a folder of class folders or a list file below ``root``: a
    text file with a line ``<path> <label>`` an image, or a CSV file with the columns ``path`` and
    ``label``, paths relative to ``root``. The CSV file of ``train`` may have a column ``split``
    besides, and give all three. The classes are the sorted names of the class folders or labels.
    """

    name: ClassVar[str] = "image_folder"

    root: str = ltcore.Field(description="The folder that the images are in.")
    train: str | None = ltcore.Field(
        default=None,
        description="Where the training images are. Null: the folder 'train', or, without any of "
        "'train', 'val' and 'test', the class folders in root itself.",
    )
    val: str | None = ltcore.Field(
        default=None,
        description="Where the validation images are. Null: the folder 'val', or, without one, "
        "held out of train. The same as test, where one set is to be both.",
    )
    test: str | None = ltcore.Field(
        default=None,
        description="Where the test images are. Null: the folder 'test', or, without one, held "
        "out of train.",
    )
    holdout: Holdout = ltcore.Field(
        default=0.1,
        description="What is held out for a split without images of its own: that share of each "
        "class, at least one; or, as an integer, that many of each class.",
    )
    imbalance_factor: Factor | None = ltcore.Field(
        default=None,
        description="The smallest class count over the largest, as asked for; a class that has "
        "fewer images gives all. Null: the training images as they are.",
    )
    test_imbalance_factor: Factor | None = ltcore.Field(
        default=None,
        description="The imbalance factor of the test split's view 'long_tailed'. Null: the "
        "training factor, or what the training counts have.",
    )
    profile: Literal["exponential", "step"] = ltcore.Field(
        default="exponential",
        description="How the counts of an imbalance factor fall: evenly in the logarithm, or all "
        "at once after half of the classes.",
    )
    per_class: int | None = ltcore.Field(
        default=None,
        ge=1,
        description="At most how many images of a class train. Null: as many as there are.",
    )
    class_order: ClassOrder = ltcore.Field(
        default="count",
        description="Which classes an imbalance factor makes frequent: those with the most images, "
        "the first labels ('label'), or those that a seed shuffles to the front.",
    )

    @property
    def val_is_test(self) -> bool:
        """Whether validation and test are named to be one set."""
        return PurePosixPath(self.val or "val") == PurePosixPath(self.test or "test")

    @field_validator("train", "val", "test")
    @classmethod
    def _is_below_root(cls, value: str | None) -> str | None:
        if value is not None and (PurePath(value).is_absolute() or ".." in PurePath(value).parts):
            raise ValueError(f"{value!r} does not lie below root: give a path relative to it")
        return value

    def build(self, seeds: ltcore.Seeds) -> ltcore.Splits:
        """List the images and choose among them; ltcore decodes them, at the run's size."""
        from ltcore_datasets.image_folder_splits import Protocol, build_splits

        protocol = Protocol(
            holdout=self.holdout,
            imbalance_factor=self.imbalance_factor,
            view_factor=self.test_imbalance_factor,
            profile=self.profile,
            per_class=self.per_class,
            class_order=self.class_order,
        )
        sources = {"train": self.train, "val": self.val, "test": self.test}
        return build_splits(Path(self.root).expanduser(), sources, protocol, seeds)
