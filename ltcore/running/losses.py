"""The contract of a loss that keeps its per-sample values, its reduction, and deferred weights.

Cross-entropies of adjusted logits, most losses of long-tailed recognition, share a class here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ltcore.errors import SpecError
from ltcore.running.devices import outside_autocast

Reduction = Literal["weighted_mean", "mean"]

_HALF_PRECISION = (torch.float16, torch.bfloat16)


class PerSampleLoss(nn.Module, ABC):
    """A criterion that gives one value a sample and leaves reducing to ltcore.

    With per-sample values ``l_i`` and class weights ``w``::

        no weights         sum_i l_i / N
        "weighted_mean"    sum_i w_{y_i} l_i / sum_i w_{y_i}
        "mean"             sum_i w_{y_i} l_i / N

    The weighted mean is PyTorch's, and that of nearly all published numbers; ``mean`` is that of
    Cui et al. (2019). Half-precision logits are computed in float32, outside autocast.

    Attributes:
        class_weights: (K,) float32 or None: a buffer, so that it follows the module's device.
        reduction: how weighted values are reduced.
        generator: where a loss draws its own randomness from. ltcore sets it before training and
            seeds it before each step by (init seed, epoch, step), equally on all ranks.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        *,
        class_weights: NDArray[np.float64] | None = None,
        reduction: Reduction = "weighted_mean",
    ) -> None:
        super().__init__()
        weights = None if class_weights is None else torch.tensor(class_weights).float()
        self.register_buffer("class_weights", weights)
        self.reduction: Reduction = reduction
        self.generator: torch.Generator | None = None

    @abstractmethod
    def per_sample(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(N,) the unweighted loss of each sample.

        Args:
            logits: (N, K) float32 or wider.
            labels: (N,) int64 in [0, K).
        """

    def start_epoch(self, epoch: int) -> None:
        """Called before each epoch (from 0): a loss's only change of state.

        It must depend on the epoch alone, so that a resumed run is the unbroken one.
        """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Reduce the per-sample values to a scalar.

        Args:
            logits: (N, K), of any floating type.
            labels: (N,) int64 in [0, K).
        """
        if logits.dtype in _HALF_PRECISION:
            logits = logits.float()
        return self.reduced(logits, labels)

    def reduce(self, values: Tensor, labels: Tensor) -> Tensor:
        """The scalar of per-sample values.

        Args:
            values: (N,) float32 or wider.
            labels: (N,) int64 in [0, K).
        """
        if self.class_weights is None:
            shares = values.new_full((len(values),), 1 / len(values))
        else:
            weights = self.class_weights.to(values.dtype).index_select(0, labels)
            shares = weights / (len(values) if self.reduction == "mean" else weights.sum())
        return torch.dot(values, shares)  # one step back, where a mean or a quotient has several

    def reduced(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The scalar of a batch: overridden where values and their sum are made together.

        Args:
            logits: (N, K) float32 or wider.
            labels: (N,) int64 in [0, K).
        """
        with outside_autocast(logits.device):
            return self.reduce(self.per_sample(logits, labels), labels)


class AdjustedCrossEntropy(PerSampleLoss):
    """Cross-entropy of logits that a loss adjusts first: it shifts them, masks them, or neither.

    With adjusted logits ``a``, true class ``y`` and ``K`` classes::

        l = -log( e^{a_y} / sum_j e^{a_j} )

    Such a loss overrides ``adjusted`` alone. In return one call of PyTorch computes its values and
    reduces them, forward and backward; reducing apart would add two fifths to the time of a batch
    of 128 by 100. That call is made within autocast too: PyTorch computes cross-entropy in float32
    there.
    """

    def adjusted(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(N, K) the logits whose cross-entropy this is; unless overridden, those it is given.

        Made of elementwise operations and indexing, which autocast leaves in float32; a matrix
        product needs ``torch.autocast(..., enabled=False)`` around it.

        Args:
            logits: (N, K) float32 or wider.
            labels: (N,) int64 in [0, K).
        """
        return logits

    @final
    def per_sample(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(N,) the unweighted loss of each sample, of logits (N, K) and labels (N,)."""
        return F.cross_entropy(self.adjusted(logits, labels), labels, reduction="none")

    def reduced(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The scalar of a batch, of logits (N, K) and labels (N,)."""
        adjusted, weights = self.adjusted(logits, labels), self.class_weights
        if weights is not None:
            if weights.dtype is not adjusted.dtype:  # a conversion to itself takes time, too
                weights = weights.to(adjusted.dtype)
            if self.reduction == "mean":
                return F.cross_entropy(adjusted, labels, weights, reduction="sum") / len(labels)
        return F.cross_entropy(adjusted, labels, weights)


class DeferredReweighting(PerSampleLoss):
    """Another per-sample loss, weighted by class from an epoch on (DRW).

    The weights stand outside the other loss's values: outside focal's ``p_y``, for one.

    Args:
        criterion: the loss to weight, without class weights of its own.
        weights: (K,) float64, used from ``start_epoch`` on; before it there are none.
        start_epoch: counted from 0.

    Raises:
        SpecError: the criterion has weights already.

    Reference:
        Cao, Wei, Gaidon, Arechiga, Ma: Learning Imbalanced Datasets with Label-Distribution-Aware
        Margin Loss. NeurIPS 2019, algorithm 1.
    """

    def __init__(
        self, criterion: PerSampleLoss, weights: NDArray[np.float64], *, start_epoch: int
    ) -> None:
        if criterion.class_weights is not None:
            raise SpecError(
                "loss.drw: this loss weights its classes from the first epoch on already. "
                "Remove drw, or choose a loss without class weights."
            )
        super().__init__(class_weights=weights)
        self.criterion = criterion
        self.first_weighted_epoch = start_epoch
        self.weighted = start_epoch == 0

    def per_sample(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.criterion.per_sample(logits, labels)

    def start_epoch(self, epoch: int) -> None:
        self.weighted = epoch >= self.first_weighted_epoch

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.weighted:
            return super().forward(logits, labels)
        loss: Tensor = self.criterion(logits, labels)  # the other loss itself, to the last bit
        return loss
