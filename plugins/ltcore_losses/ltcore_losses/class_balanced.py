"""Cross-entropy weighted by the inverse effective number of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ltcore import AdjustedCrossEntropy

if TYPE_CHECKING:
    from ltcore_losses import Reduction


class ClassBalancedLoss(AdjustedCrossEntropy):
    """Cross-entropy in which each class weighs the inverse of its effective number of samples.

    With logits ``z``, true class ``y``, ``K`` classes, class counts ``n`` and ``beta`` in [0, 1)::

        l   = -log( e^{z_y} / sum_j e^{z_j} )
        w_j = (1 - beta) / (1 - beta^{n_j}), scaled to sum to K

    At ``beta = 0`` and where all counts are equal every weight is 1, which is cross-entropy;
    towards 1 the weights approach inverse frequency. The default, 0.9999, is Cao et al.'s; on
    CIFAR-100-LT it is within 2 % of inverse frequency, and 0.99 and 0.999 are what differs. The
    core is the softmax's cross-entropy; Cui et al. also weight sigmoid ones. In [0, inf), lower is
    better.

    Args:
        class_weights: (K,) float64, ``w``: :meth:`ltcore.Classes.class_balanced_weights`.
        reduction: ``weighted_mean`` divides a batch's weighted sum by the sum of its weights, as
            PyTorch does; ``mean`` divides it by N, as Cui et al. do.

    Reference:
        Cui, Jia, Lin, Song, Belongie: Class-Balanced Loss Based on Effective Number of Samples.
        CVPR 2019. Cao, Wei, Gaidon, Arechiga, Ma: Learning Imbalanced Datasets with
        Label-Distribution-Aware Margin Loss. NeurIPS 2019.
    """

    def __init__(
        self, class_weights: NDArray[np.float64], *, reduction: Reduction = "weighted_mean"
    ) -> None:
        super().__init__(class_weights=class_weights, reduction=reduction)
