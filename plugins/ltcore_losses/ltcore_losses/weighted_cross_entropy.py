"""Cross-entropy weighted by inverse class frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ltcore import AdjustedCrossEntropy

if TYPE_CHECKING:
    from ltcore_losses import Reduction


class WeightedCrossEntropyLoss(AdjustedCrossEntropy):
    """Cross-entropy in which each class weighs the inverse of its share of the training images.

    With logits ``z``, true class ``y``, ``K`` classes, class counts ``n`` and priors
    ``pi_j = n_j / sum(n)``::

        l   = -log( e^{z_y} / sum_j e^{z_j} )
        w_j = 1 / (K pi_j)

    The weights are ``1 / pi`` over K: their mean over the training images is 1, and each is 1
    where all counts are equal, so that this is cross-entropy there under either reduction. The
    weighted mean is the same for any scale of the weights. In [0, inf), lower is better.

    Args:
        class_counts: (K,) int64, positive: ``n``.
        reduction: ``weighted_mean`` divides a batch's weighted sum by the sum of its weights, as
            PyTorch does; ``mean`` divides it by N.

    Reference:
        King, Zeng: Logistic Regression in Rare Events Data. Political Analysis 2001; the weights
        are scikit-learn's ``class_weight="balanced"``.
    """

    def __init__(
        self, class_counts: NDArray[np.int64], *, reduction: Reduction = "weighted_mean"
    ) -> None:
        weights = class_counts.sum() / (len(class_counts) * class_counts)
        super().__init__(class_weights=weights, reduction=reduction)
