"""Cross-entropy of logits shifted by the log class counts."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltcore import AdjustedCrossEntropy


class BalancedSoftmaxLoss(AdjustedCrossEntropy):
    """The negative log-likelihood of the true class under a softmax that knows the class counts.

    With logits ``z``, true class ``y`` and class counts ``n``::

        l = -log( n_y e^{z_y} / sum_j n_j e^{z_j} )

    which is cross-entropy of ``z + log n``, and logit adjustment at ``tau = 1``. The model is
    tested on ``z`` itself, which is thereby right for a uniform class prior. In [0, inf), lower is
    better.

    Args:
        class_counts: (K,) int64, positive: ``n``. A class without an image would never be learned
            from, not even as a negative, and yet could be predicted.

    Reference:
        Ren, Yu, Sheng, Ma, Zhao, Yi, Li: Balanced Meta-Softmax for Long-Tailed Visual Recognition.
        NeurIPS 2020. Menon, Jayasumana, Rawat, Jain, Veit, Kumar: Long-Tail Learning via Logit
        Adjustment. ICLR 2021.
    """

    shift: Tensor

    def __init__(self, class_counts: NDArray[np.int64]) -> None:
        super().__init__()
        # The softmax ignores a constant: over the mean count, equal counts shift by exactly 0.
        shift = np.log(class_counts / class_counts.mean())
        self.register_buffer("shift", torch.tensor(shift, dtype=torch.float32), persistent=False)

    def adjusted(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(N, K) the logits, of which labels (N,) change nothing, plus ``log n``."""
        return logits + self.shift
