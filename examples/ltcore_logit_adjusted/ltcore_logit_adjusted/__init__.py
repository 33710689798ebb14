"""The logit-adjusted loss of Menon et al. (2021), as an ltcore component.

This module declares it: name, parameter, default. What it computes stands in ``loss``, which is
imported, and torch with it, when the loss is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import ltcore

if TYPE_CHECKING:
    from ltcore_logit_adjusted.loss import LogitAdjustedLoss


class LogitAdjusted(ltcore.Loss):
    """Cross-entropy of logits shifted by tau times the log class prior (Menon et al., 2021)."""

    name: ClassVar[str] = "logit_adjusted"
    # Right at tau = 1, the published value: other values leave the prior to the power 1 - tau.
    trained_prior: ClassVar[Literal["train", "uniform"]] = "uniform"

    tau: float = ltcore.Field(
        default=1.0, ge=0, description="The weight of the log prior; at 0 this is cross-entropy."
    )

    def build(self, classes: ltcore.Classes) -> LogitAdjustedLoss:
        """Make the criterion from the class counts."""
        from ltcore_logit_adjusted.loss import LogitAdjustedLoss

        classes.require_images("logit adjustment")
        return LogitAdjustedLoss(classes.prior, tau=self.tau)


@ltcore.hookimpl
def ltcore_register_losses() -> Sequence[type[ltcore.Loss]]:
    """Offer the loss to ltcore."""
    return [LogitAdjusted]
