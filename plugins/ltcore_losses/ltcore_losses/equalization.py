"""Cross-entropy that mostly spares rare classes as negatives of other classes' samples."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltcore import AdjustedCrossEntropy, LtcoreWarning

_NEGLIGIBLE = -3e38  # as a logit; float32 reaches to 3.4e38


class EqualizationLoss(AdjustedCrossEntropy):
    """Softmax equalization: rare classes are left out of the other classes' denominators at random.

    With logits ``z``, true class ``y``, class priors ``pi_j = n_j / sum(n)``, a threshold
    ``lambda`` and a probability ``gamma``, both in [0, 1]::

        l   = -log( e^{z_y} / sum_k w_k e^{z_k} )
        w_k = 1 - b_k [pi_k < lambda] [k != y],    b_k ~ Bernoulli(gamma)

    ``b`` is drawn for each sample and class while training; in ``eval()`` it is 0, which is
    cross-entropy, as ``gamma = 0`` is and a ``lambda`` that no prior is below. The defaults of
    the component, 0.005 and 0.9, are those of Zhang et al. for CIFAR-100-LT. In [0, inf), lower is
    better.

    Args:
        class_counts: (K,) int64: ``n``; a class without an image is rare.
        threshold: ``lambda``.
        gamma: the probability that a rare class is left out.

    Attributes:
        rare_classes: how many priors are below the threshold.

    Warns:
        LtcoreWarning: none or all of them are, so that no class is told from another.

    Reference:
        Tan, Wang, Li, Li, Ouyang, Yin, Yan: Equalization Loss for Long-Tailed Object Recognition.
        CVPR 2020. Zhang, Wei, Zhou, Wu: Bag of Tricks for Long-Tailed Visual Recognition with Deep
        Convolutional Neural Networks. AAAI 2021.
    """

    column: Tensor
    omission: Tensor

    def __init__(self, class_counts: NDArray[np.int64], *, threshold: float, gamma: float) -> None:
        super().__init__()
        prior = class_counts / class_counts.sum()
        rare = prior < threshold
        self.rare_classes = int(rare.sum())
        # (K,) the probability that a class is left out: gamma [pi_k < lambda].
        omission = torch.tensor(gamma * rare, dtype=torch.float32)
        self.register_buffer("omission", omission, persistent=False)
        # (K,) which of the draws decides on a class: one is made for each rare class alone.
        column = torch.tensor(np.where(rare, np.cumsum(rare) - 1, 0))
        self.register_buffer("column", column, persistent=False)
        self.threshold = threshold
        self.gamma = gamma
        if self.rare_classes == 0:
            warnings.warn(
                f"loss.lambda: no class has a share of the training images below {threshold}, so "
                f"this is cross-entropy. The smallest share is {prior.min():.3g}: only a larger "
                "lambda makes a class rare.",
                LtcoreWarning,
                stacklevel=2,
            )
        elif self.rare_classes == len(rare):
            warnings.warn(
                f"loss.lambda: all {len(rare)} classes have a share of the training images below "
                f"{threshold}, so no class is told from another. The shares run from "
                f"{prior.min():.3g} to {prior.max():.3g}: choose lambda between them.",
                LtcoreWarning,
                stacklevel=2,
            )

    def adjusted(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(N, K) the logits; while training about -3e38 where a class is left out: e to it is 0."""
        if not self.training or self.rare_classes == 0:
            return logits
        shape = len(logits), self.rare_classes
        draws = torch.rand(shape, generator=self.generator, device=logits.device)
        if self.rare_classes < logits.shape[1]:
            draws = draws.index_select(1, self.column)
        draws.scatter_(1, labels.unsqueeze(1), 1.0)  # no probability is above 1: y stays
        # Added, not filled in: the gradient of a sum needs no second mask. In place a comparison
        # gives floats, in a fifth of the time of a mask; times infinity its zeros would be NaN.
        return torch.add(logits, draws.lt_(self.omission), alpha=_NEGLIGIBLE)

    def extra_repr(self) -> str:
        """What the module's text shows between its brackets."""
        return f"threshold={self.threshold}, gamma={self.gamma}, rare_classes={self.rare_classes}"
