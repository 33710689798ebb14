"""The report for programs: every number at full precision."""

from __future__ import annotations

import json
from typing import ClassVar

from ltcore.comparison import Comparison
from ltcore.components import Reporter


class Json(Reporter):
    """Runs, metrics and means as JSON, ASCII alone; a value that is not known is null."""

    name: ClassVar[str] = "json"
    suffix: ClassVar[str] = ".json"

    def render(self, comparison: Comparison) -> str:
        """Render the comparison, whole."""
        return json.dumps(comparison.to_dict(), indent=2, allow_nan=False) + "\n"
