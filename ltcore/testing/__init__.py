"""The checks that a plugin author runs: does a component keep the rules that a run relies on?

In a plugin's own tests::

    import ltcore
    import my_ltcore_loss

    def test_loss_keeps_ltcores_rules():
        ltcore.testing.check_loss(my_ltcore_loss.LogitAdjusted(tau=0.5))

Each check looks at one rule, on its own copy of the component, and leaves the global random state
as it was. What is broken is told at once, rule by rule, as an error that pytest takes for a failed
assertion; the names of the rules that were looked at are returned.
"""

from __future__ import annotations

from ltcore.testing.backbones import check_backbone
from ltcore.testing.conformance import ConformanceError
from ltcore.testing.datasets import check_dataset
from ltcore.testing.losses import check_loss
from ltcore.testing.metrics import check_metric
from ltcore.testing.reporters import check_reporter

__all__ = [
    "ConformanceError",
    "check_backbone",
    "check_dataset",
    "check_loss",
    "check_metric",
    "check_reporter",
]
