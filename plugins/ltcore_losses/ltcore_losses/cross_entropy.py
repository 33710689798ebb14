"""Cross-entropy, the baseline of every comparison."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ltcore import PerSampleLoss


class CrossEntropyLoss(PerSampleLoss):
    """The negative log-likelihood of the true class under the softmax of the logits.

    With logits ``z`` and true class ``y``::

        l = -log( e^{z_y} / sum_j e^{z_j} )

    No label smoothing, as in every long-tailed baseline. In [0, inf), lower is better.
    """

    def per_sample(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(N,) the loss of each sample, of logits (N, K) and labels (N,)."""
        return F.cross_entropy(logits, labels, reduction="none")
