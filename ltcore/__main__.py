"""`python -m ltcore` is the command `ltcore`."""

from __future__ import annotations

import sys

from ltcore.cli import main

if __name__ == "__main__":
    sys.exit(main())
