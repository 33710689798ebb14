"""What plugins hand over: the five kinds of component, as frozen declarations.

A component is a name, a docstring, its parameters as pydantic fields, and one method that turns
them into plain arguments. Declaring one must not import torch: `build` does so when it is called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import pydantic
from pydantic import BaseModel, ConfigDict

from ltcore.measures import MetricInfo
from ltcore.splits import Classes, Splits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from ltcore.comparison import Comparison

Kind = Literal["dataset", "backbone", "loss", "metric", "reporter"]
Head = Literal["linear", "cosine"]
Seed = Annotated[int, pydantic.Field(ge=0, lt=2**63)]


def Field(  # noqa: N802 - pydantic's name
    default: Any = ..., *, affects_outcome: bool = True, **constraints: Any
) -> Any:
    """A parameter of a component: pydantic's ``Field``, with one argument more.

    Args:
        default: the default value; a parameter without one is required.
        affects_outcome: False for a parameter that cannot change what a run computes (where the
            data lies, say): it enters neither the run's name nor what tells finished runs apart.
        **constraints: pydantic's arguments: ``ge``, ``le``, ``description``, ``alias``, ...
    """
    if not affects_outcome:
        extra = constraints.pop("json_schema_extra", {})
        constraints["json_schema_extra"] = {**extra, "affects_outcome": False}
    return pydantic.Field(default, **constraints)


class Declaration(BaseModel):
    """Frozen, strictly typed parameters: unknown keys, inf and nan are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        serialize_by_alias=True,
        protected_namespaces=(),
        defer_build=True,  # most commands use few of these models
    )


class Seeds(Declaration):
    """The seeds of a run, one for each thing that is drawn.

    Attributes:
        data: which images train.
        init: weights, dropout and the loss's own randomness.
        order: the order of the images and their augmentation.
        split: which images are held out, and which of them form the long-tailed view.
    """

    data: Seed = 42
    init: Seed = 42
    order: Seed = 42
    split: Seed = 42


class Component(Declaration, ABC):
    """The base of the five kinds; a plugin derives from one of those.

    Attributes:
        name: what a spec calls it: lower-case letters, digits and underscores.
    """

    kind: ClassVar[Kind]
    name: ClassVar[str]


class Dataset(Component):
    """A data set that a spec can name under ``dataset``."""

    kind: ClassVar[Kind] = "dataset"

    @property
    def val_is_test(self) -> bool:
        """Whether validation and test are the same images under these parameters."""
        return False

    @abstractmethod
    def build(self, seeds: Seeds) -> Splits:
        """Read the images.

        Raises:
            DataError: data that is missing, damaged or too little.
        """


class Normalization(NamedTuple):
    """Statistics of the red, green and blue channel, of images in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET_NORMALIZATION = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Backbone(Component):
    """A model that a spec can name under ``backbone``.

    Attributes:
        input_size: the side of the images that it takes, in pixels: ``transform.size``'s default.
        head: ``auto`` takes what the loss declares.
        head_scale: what a cosine head multiplies its cosines with.
    """

    kind: ClassVar[Kind] = "backbone"
    input_size: ClassVar[int] = 224

    head: Literal["auto", "linear", "cosine"] = Field(
        default="auto", description="The last layer: linear, cosine, or what the loss declares."
    )
    head_scale: float = Field(
        default=30.0, gt=0, description="The factor of a cosine head's cosines (Cao et al.'s s)."
    )

    @property
    def normalization(self) -> Normalization:
        """The statistics that the weights were trained with (``normalize: "backbone"``)."""
        return IMAGENET_NORMALIZATION

    @abstractmethod
    def build(self, num_classes: int, head: Head) -> nn.Module:
        """Make the model: images (N, 3, H, W) -> logits (N, K).

        Args:
            num_classes: K.
            head: the kind of the last layer, ``auto`` already settled.
        """


class DeferredReweighting(Declaration):
    """Class-balanced weights from an epoch on (DRW).

    Reference:
        Cao, Wei, Gaidon, Arechiga, Ma: Learning Imbalanced Datasets with Label-Distribution-Aware
        Margin Loss. NeurIPS 2019, algorithm 1.
    """

    start_epoch: int = Field(ge=0, description="The first epoch with weights, counted from 0.")
    beta: float = Field(
        default=0.9999, ge=0, lt=1, description="Of the class-balanced weights (Cui et al., 2019)."
    )


class Loss(Component):
    """A criterion that a spec can name under ``loss``.

    Attributes:
        head: the head that ``backbone.head: "auto"`` becomes.
        trained_prior: the class prior that the logits it trains are right for: ``train`` for the
            training images', ``uniform`` for a loss that already makes up for it.
        drw: deferred re-weighting; taken by losses built on :class:`ltcore.PerSampleLoss`.
    """

    kind: ClassVar[Kind] = "loss"
    head: ClassVar[Head] = "linear"
    trained_prior: ClassVar[Literal["train", "uniform"]] = "train"

    drw: DeferredReweighting | None = Field(
        default=None, description="Deferred re-weighting: class-balanced weights from an epoch on."
    )

    @abstractmethod
    def build(self, classes: Classes) -> nn.Module:
        """Make the criterion: (logits (N, K), labels (N,)) -> scalar.

        Raises:
            SpecError: the class counts do not suit it.
        """


class Metric(Component):
    """A number that a report can show of each view, computed from stored logits.

    Attributes:
        title: what tables call it.
        lower_is_better: whether the best of several is the smallest.
        percent: whether it is a share in [0, 1], shown in percent.
    """

    kind: ClassVar[Kind] = "metric"
    title: ClassVar[str]
    lower_is_better: ClassVar[bool] = False
    percent: ClassVar[bool] = True

    @property
    def info(self) -> MetricInfo:
        """What a report must know of it."""
        return MetricInfo(self.name, self.title, self.lower_is_better, self.percent)

    @abstractmethod
    def compute(
        self,
        logits: NDArray[np.float32],
        labels: NDArray[np.int32],
        class_counts: NDArray[np.int64],
    ) -> float | None:
        """Compute it for a view's images; there is at least one.

        Args:
            logits: (n, K) as stored.
            labels: (n,) in [0, K).
            class_counts: (K,) training images of each class.

        Returns:
            The value, the same for the images in any order; None where it is not defined.
        """


class Reporter(Component):
    """A form that a report can take.

    Attributes:
        suffix: of the files it makes, with the dot.
        wants_details: whether it renders what is beside each run's metrics (:class:`Details`),
            which takes time and memory to compute.
    """

    kind: ClassVar[Kind] = "reporter"
    suffix: ClassVar[str]
    wants_details: ClassVar[bool] = False

    @abstractmethod
    def render(self, comparison: Comparison) -> str:
        """Render the comparison, whole."""
