"""Cross-entropy of logits shifted by the log class prior."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from ltcore import PerSampleLoss
from numpy.typing import NDArray
from torch import Tensor


class LogitAdjustedLoss(PerSampleLoss):
    """The negative log-likelihood of the true class under a softmax that is given the class prior.

    With logits ``z``, true class ``y``, class priors ``pi`` and ``tau >= 0``::

        l = -log( pi_y^tau e^{z_y} / sum_j pi_j^tau e^{z_j} )

    which is cross-entropy of ``z + tau log pi``. The model is tested on ``z`` itself, which at
    ``tau = 1``, the default of the component and the paper's, is right for a uniform class prior;
    at ``tau = 0`` this is cross-entropy. In [0, inf), lower is better.

    Args:
        prior: (K,) float64, positive, sums to 1: ``pi``.
        tau: at least 0.

    Reference:
        Menon, Jayasumana, Rawat, Jain, Veit, Kumar: Long-Tail Learning via Logit Adjustment.
        ICLR 2021, equation 10.
    """

    shift: Tensor

    def __init__(self, prior: NDArray[np.float64], *, tau: float) -> None:
        super().__init__()
        shift = torch.tensor(tau * np.log(prior), dtype=torch.float32)
        self.register_buffer("shift", shift, persistent=False)
        self.tau = tau

    def per_sample(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(N,) the loss of each sample, of logits (N, K) and labels (N,)."""
        return F.cross_entropy(logits + self.shift, labels, reduction="none")

    def extra_repr(self) -> str:
        """What ``print`` shows of it."""
        return f"tau={self.tau}"
