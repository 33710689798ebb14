"""`python -m ltcore` is the command `ltcore`."""

from __future__ import annotations

from ltcore.cli import command_line

if __name__ == "__main__":
    command_line()
