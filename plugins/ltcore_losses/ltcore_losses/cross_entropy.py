"""Cross-entropy, the baseline of every comparison."""

from __future__ import annotations

from ltcore import AdjustedCrossEntropy


class CrossEntropyLoss(AdjustedCrossEntropy):
    """The negative log-likelihood of the true class under the softmax of the logits.

    With logits ``z`` and true class ``y``::

        l = -log( e^{z_y} / sum_j e^{z_j} )

    No label smoothing, as in every long-tailed baseline. In [0, inf), lower is better.
    """
