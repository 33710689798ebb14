"""CIFAR-10 and CIFAR-100, balanced and long-tailed: what a spec can say of them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

import ltcore
from ltcore_datasets.cifar_releases import RELEASES

ClassOrder = Literal["label"] | Annotated[int, Field(ge=0, lt=2**63)]
Factor = Annotated[float, Field(gt=0, le=1)]


class Cifar(ltcore.Dataset):
    """The parameters that the four share.

    Attributes:
        release: which official release it is.
    """

    release: ClassVar[str]

    root: str = ltcore.Field(
        default="data",
        affects_outcome=False,
        description="The folder of the official archive, of the folder that it extracts to, or of "
        "class folders train/<class>/*.png and test/<class>/*.png.",
    )
    download: bool = ltcore.Field(
        default=False,
        affects_outcome=False,
        description="Whether to fetch the official archive where root has none of these.",
    )
    holdout_per_class: int = ltcore.Field(
        default=50,
        ge=0,
        description="Training images of each class that are held out as the test split, while the "
        "official test set is the validation split. At 0 it is both.",
    )
    per_class: int | None = ltcore.Field(
        default=None,
        ge=1,
        description="Training images of the largest class, or of every class of a balanced set. "
        "Null: all that are left.",
    )
    class_order: ClassOrder = ltcore.Field(
        default="label",
        description="Which classes are frequent: 'label' for the first labels, a seed for a "
        "shuffled order. The groups and views follow it.",
    )

    @property
    def val_is_test(self) -> bool:
        """Whether validation and test are both the official test set."""
        return self.holdout_per_class == 0

    @field_validator("holdout_per_class")
    @classmethod
    def _leaves_training_images(cls, value: int) -> int:
        release = RELEASES[cls.release]
        if value >= release.train_per_class:
            raise ValueError(
                f"{value} leaves nothing to train on: {release.title} has "
                f"{release.train_per_class} training images of each class"
            )
        return value

    @field_validator("per_class")
    @classmethod
    def _is_there(cls, value: int | None, info: ValidationInfo) -> int | None:
        release = RELEASES[cls.release]
        left = release.train_per_class - info.data.get("holdout_per_class", 0)
        if value is not None and value > left:
            raise ValueError(
                f"{value} is more than the {left} training images of each class that "
                f"{release.title} has beside the held-out ones"
            )
        return value


class BalancedCifar(Cifar):
    """The parameters of the two balanced ones."""

    test_imbalance_factor: Factor = ltcore.Field(
        default=0.01, description="The imbalance factor of the test split's view 'long_tailed'."
    )

    def build(self, seeds: ltcore.Seeds) -> ltcore.Splits:
        """Read the images; equally many train of every class."""
        from ltcore_datasets.cifar_splits import Protocol, build_splits

        protocol = Protocol(
            holdout_per_class=self.holdout_per_class,
            per_class=self.per_class,
            class_order=self.class_order,
            imbalance_factor=1.0,
            view_factor=self.test_imbalance_factor,
        )
        return build_splits(self.release, self.root, self.download, protocol, seeds)


class LongTailedCifar(Cifar):
    """The parameters of the two long-tailed ones."""

    imbalance_factor: Factor = ltcore.Field(
        default=0.01, description="The smallest class count over the largest, as asked for."
    )
    test_imbalance_factor: Factor | None = ltcore.Field(
        default=None,
        description="The imbalance factor of the test split's view 'long_tailed'. Null: the "
        "training factor.",
    )
    profile: Literal["exponential", "step"] = ltcore.Field(
        default="exponential",
        description="How the class counts fall: evenly in the logarithm, or all at once after "
        "half of the classes.",
    )
    subset: Literal["seeded", "cao"] = ltcore.Field(
        default="seeded",
        description="Which images train: drawn by the data seed, or the very ones of Cao et al.'s "
        "LDAM-DRW, which takes the archive and holdout_per_class 0.",
    )

    @field_validator("subset")
    @classmethod
    def _goes_with_the_whole_training_set(cls, value: str, info: ValidationInfo) -> str:
        if value == "cao" and info.data.get("holdout_per_class", 0) != 0:
            raise ValueError(
                "'cao' draws from the whole official training set: set holdout_per_class to 0"
            )
        return value

    def build(self, seeds: ltcore.Seeds) -> ltcore.Splits:
        """Read the images; those that train follow the long-tailed profile."""
        from ltcore_datasets.cifar_splits import Protocol, build_splits

        protocol = Protocol(
            holdout_per_class=self.holdout_per_class,
            per_class=self.per_class,
            class_order=self.class_order,
            imbalance_factor=self.imbalance_factor,
            view_factor=self.test_imbalance_factor or self.imbalance_factor,
            profile=self.profile,
            subset=self.subset,
        )
        return build_splits(self.release, self.root, self.download, protocol, seeds)


class Cifar100(BalancedCifar):
    """CIFAR-100: 32 x 32 images of 100 classes; of each, 450 train and 50 test."""

    name: ClassVar[str] = "cifar100"
    release: ClassVar[str] = "cifar100"


class Cifar100LT(LongTailedCifar):
    """CIFAR-100-LT: CIFAR-100 with 450 training images of the first class, 4 of the last."""

    name: ClassVar[str] = "cifar100_lt"
    release: ClassVar[str] = "cifar100"


class Cifar10(BalancedCifar):
    """CIFAR-10: 32 x 32 images of 10 classes; of each, 4,500 train and 500 test."""

    name: ClassVar[str] = "cifar10"
    release: ClassVar[str] = "cifar10"

    # A tenth of the training images, as 50 are of CIFAR-100's.
    holdout_per_class: int = ltcore.Field(
        default=500, ge=0, description=Cifar.model_fields["holdout_per_class"].description
    )


class Cifar10LT(LongTailedCifar):
    """CIFAR-10-LT: CIFAR-10 with 4,500 training images of the first class, 45 of the last."""

    name: ClassVar[str] = "cifar10_lt"
    release: ClassVar[str] = "cifar10"

    holdout_per_class: int = ltcore.Field(
        default=500, ge=0, description=Cifar.model_fields["holdout_per_class"].description
    )
