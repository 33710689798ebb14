"""Cross-entropy with a margin on the true class, wider for rarer classes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltcore import AdjustedCrossEntropy


class LDAMLoss(AdjustedCrossEntropy):
    """Label-distribution-aware margins: the true class must win by a margin that its count sets.

    With logits ``z = s cos(f, w)``, true class ``y`` and class counts ``n``::

        l   = -log( e^{z_y - s m_y} / ( e^{z_y - s m_y} + sum_{j != y} e^{z_j} ) )
        m_j = max_margin (min(n) / n_j)^{1/4}

    At ``max_margin = 0`` this is cross-entropy. The margins are in cosines and belong to a cosine
    head. Cao et al. scale cosines by ``s`` in the loss; here ltcore's head has scaled them, so
    that the loss is theirs where ``s`` is the head's scale. On a linear head the same margins are
    of up to ``s max_margin`` logits. The defaults of the component, 0.5 and 30, are theirs for
    CIFAR. In [0, inf), lower is better.

    Args:
        class_counts: (K,) int64, positive: ``n``.
        max_margin: at least 0: the margin of the rarest class.
        scale: positive: ``s``.

    Reference:
        Cao, Wei, Gaidon, Arechiga, Ma: Learning Imbalanced Datasets with Label-Distribution-Aware
        Margin Loss. NeurIPS 2019.
    """

    margins: Tensor

    def __init__(self, class_counts: NDArray[np.int64], *, max_margin: float, scale: float) -> None:
        super().__init__()
        margins = scale * max_margin * (class_counts.min() / class_counts) ** 0.25  # in logits
        self.register_buffer(
            "margins", torch.tensor(margins, dtype=torch.float32), persistent=False
        )
        self.max_margin = max_margin
        self.scale = scale

    def adjusted(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(N, K) the logits, less the margin where labels (N,) point."""
        margins = self.margins.to(logits.dtype).index_select(0, labels)
        return logits.scatter_add(1, labels.unsqueeze(1), -margins.unsqueeze(1))

    def extra_repr(self) -> str:
        """What the module's text shows between its brackets."""
        return f"max_margin={self.max_margin}, scale={self.scale}"
