"""The report for programs: every number at full precision."""

from __future__ import annotations

import io
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
        stream = io.StringIO()  # json.dumps would keep every number's text until the end
        json.dump(comparison.to_dict(), stream, indent=2, allow_nan=False)
        stream.write("\n")
        return stream.getvalue()
