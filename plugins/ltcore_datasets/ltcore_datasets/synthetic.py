"""A long-tailed data set made in memory: what a spec can say of it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

import ltcore

PICTURES_PER_CLASS = 1000
Factor = Annotated[float, Field(gt=0, le=1)]


class Synthetic(ltcore.Dataset):
    """Noisy colour textures, a texture a class: long-tailed, made in memory, for demos and tests.

    With the defaults 556 images train, 200 of the first class and 4 of the last. The validation
    and test images, and the thousand of each class from which the training images are drawn, are
    the same for every seed and on every machine.
    """

    name: ClassVar[str] = "synthetic"

    classes: int = ltcore.Field(default=10, ge=2, description="How many classes.")
    per_class: int = ltcore.Field(
        default=200,
        ge=1,
        le=PICTURES_PER_CLASS,
        description="Training images of the largest class.",
    )
    imbalance_factor: Factor = ltcore.Field(
        default=0.02, description="The smallest class count over the largest, as asked for."
    )
    test_imbalance_factor: Factor | None = ltcore.Field(
        default=None,
        description="The imbalance factor of the test split's view 'long_tailed'. Null: the "
        "training factor.",
    )
    val_per_class: int = ltcore.Field(
        default=20, ge=1, le=PICTURES_PER_CLASS, description="Validation images of each class."
    )
    test_per_class: int = ltcore.Field(
        default=50, ge=1, le=PICTURES_PER_CLASS, description="Test images of each class."
    )
    size: int = ltcore.Field(default=32, ge=8, description="The side of the images, in pixels.")
    noise: float = ltcore.Field(
        default=0.9,
        ge=0,
        description="How strongly the textures are covered; at 0 they are bare, at 2 hardly seen.",
    )

    def build(self, seeds: ltcore.Seeds) -> ltcore.Splits:
        """Draw the training images by the data seed, and paint those and no others."""
        from ltcore_datasets.pool import with_views
        from ltcore_datasets.textures import texture_pool

        counts = ltcore.protocol.profile_counts(self.classes, self.per_class, self.imbalance_factor)
        train, val, test = (
            texture_pool(split, self.classes, per_class, size=self.size, noise=self.noise)
            for split, per_class in (
                ("train", PICTURES_PER_CLASS),
                ("val", self.val_per_class),
                ("test", self.test_per_class),
            )
        )
        return with_views(
            train.take(ltcore.protocol.draw_per_class(train.labels, train.ids, counts, seeds.data)),
            val.everything(),
            test.everything(),
            names=tuple(f"texture_{label}" for label in range(self.classes)),
            rank=ltcore.protocol.ranks(counts),
            view_factor=self.test_imbalance_factor or self.imbalance_factor,
            split_seed=seeds.split,
        )
