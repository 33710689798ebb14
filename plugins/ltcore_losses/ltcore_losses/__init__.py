"""Seven losses of long-tailed recognition, as ltcore components.

This module declares them: their names, parameters and defaults. What each one computes stands in
the module of its name, which is imported, and torch with it, when the loss is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import ltcore

if TYPE_CHECKING:
    from ltcore import Classes, PerSampleLoss

Reduction = Literal["weighted_mean", "mean"]

_REDUCTION = "Divide the weighted sum by the sum of the weights, or by the number of samples."


class CrossEntropy(ltcore.Loss):
    """Cross-entropy: minus the log softmax of the true class."""

    name: ClassVar[str] = "cross_entropy"

    def build(self, classes: Classes) -> PerSampleLoss:
        """Make the criterion; the class counts play no part in it."""
        from ltcore_losses.cross_entropy import CrossEntropyLoss

        return CrossEntropyLoss()


class WeightedCrossEntropy(ltcore.Loss):
    """Cross-entropy weighted by inverse class frequency."""

    name: ClassVar[str] = "weighted_cross_entropy"
    trained_prior: ClassVar[Literal["train", "uniform"]] = "uniform"

    reduction: Reduction = ltcore.Field(default="weighted_mean", description=_REDUCTION)

    def build(self, classes: Classes) -> PerSampleLoss:
        """Make the criterion.

        Raises:
            SpecError: a class has no training image.
        """
        from ltcore_losses.weighted_cross_entropy import WeightedCrossEntropyLoss

        classes.require_images("weighted cross-entropy")
        return WeightedCrossEntropyLoss(classes.counts, reduction=self.reduction)


class Focal(ltcore.Loss):
    """Cross-entropy that plays down the samples that are right already (Lin et al., 2017)."""

    name: ClassVar[str] = "focal"

    gamma: float = ltcore.Field(
        default=2.0, ge=0, description="How strongly; at 0 this is cross-entropy."
    )

    def build(self, classes: Classes) -> PerSampleLoss:
        """Make the criterion; the class counts play no part in it."""
        from ltcore_losses.focal import FocalLoss

        return FocalLoss(gamma=self.gamma)


class ClassBalanced(ltcore.Loss):
    """Cross-entropy weighted by the inverse effective number of samples (Cui et al., 2019)."""

    name: ClassVar[str] = "class_balanced"
    trained_prior: ClassVar[Literal["train", "uniform"]] = "uniform"

    beta: float = ltcore.Field(
        default=0.9999,
        ge=0,
        lt=1,
        description="At 0 every class weighs the same; towards 1, its inverse frequency.",
    )
    reduction: Reduction = ltcore.Field(default="weighted_mean", description=_REDUCTION)

    def build(self, classes: Classes) -> PerSampleLoss:
        """Make the criterion.

        Raises:
            SpecError: a class has no training image.
        """
        from ltcore_losses.class_balanced import ClassBalancedLoss

        return ClassBalancedLoss(
            classes.class_balanced_weights(self.beta), reduction=self.reduction
        )


class BalancedSoftmax(ltcore.Loss):
    """Cross-entropy of logits shifted by the log class counts (Ren et al., 2020)."""

    name: ClassVar[str] = "balanced_softmax"
    trained_prior: ClassVar[Literal["train", "uniform"]] = "uniform"

    def build(self, classes: Classes) -> PerSampleLoss:
        """Make the criterion.

        Raises:
            SpecError: a class has no training image.
        """
        from ltcore_losses.balanced_softmax import BalancedSoftmaxLoss

        classes.require_images("balanced softmax")
        return BalancedSoftmaxLoss(classes.counts)


class Equalization(ltcore.Loss):
    """Cross-entropy that mostly spares rare classes as negatives (Tan et al., 2020)."""

    # trained_prior stays `train`: among the rare classes, and among the others, the training prior
    # stands; only the rare ones as a group are lifted above it.
    name: ClassVar[str] = "equalization"

    lambda_: float = ltcore.Field(
        default=0.005,
        ge=0,
        le=1,
        alias="lambda",
        description="A class is rare where its share of the training images is below this.",
    )
    gamma: float = ltcore.Field(
        default=0.9,
        ge=0,
        le=1,
        description="The probability that a rare class is spared as a negative of a sample.",
    )

    def build(self, classes: Classes) -> PerSampleLoss:
        """Make the criterion.

        Warns:
            LtcoreWarning: none or all of the classes are rare.
        """
        from ltcore_losses.equalization import EqualizationLoss

        return EqualizationLoss(classes.counts, threshold=self.lambda_, gamma=self.gamma)


class LDAM(ltcore.Loss):
    """Cross-entropy with a margin on the true class, wider for rarer ones (Cao et al., 2019)."""

    # trained_prior stays `train`: a margin asks for more confidence, it makes up for no prior.
    name: ClassVar[str] = "ldam"
    head: ClassVar[Literal["linear", "cosine"]] = "cosine"

    max_margin: float = ltcore.Field(
        default=0.5, ge=0, description="The margin of the rarest class, in cosines."
    )
    scale: float = ltcore.Field(
        default=30.0, gt=0, description="From cosines to logits: the cosine head's head_scale."
    )

    def build(self, classes: Classes) -> PerSampleLoss:
        """Make the criterion.

        Raises:
            SpecError: a class has no training image.
        """
        from ltcore_losses.ldam import LDAMLoss

        classes.require_images("LDAM")
        return LDAMLoss(classes.counts, max_margin=self.max_margin, scale=self.scale)


@ltcore.hookimpl
def ltcore_register_losses() -> Sequence[type[ltcore.Loss]]:
    """Offer the seven losses."""
    return [
        CrossEntropy,
        WeightedCrossEntropy,
        Focal,
        ClassBalanced,
        BalancedSoftmax,
        Equalization,
        LDAM,
    ]
