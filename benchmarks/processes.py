"""Whole processes: how long they take, and how much memory they take at most."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import torch

_PEAK = """
import re, sys
from pathlib import Path
exec(sys.argv.pop(1))
status = Path("/proc/self/status").read_text()
print(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1], file=sys.stderr)
"""  # the system's ru_maxrss begins with that of the process that started this one
COMMAND = "from ltcore.cli import main; code = main(own_process=True); assert code == 0, code"


def run(*arguments: str) -> str:
    """Run Python with as many threads as torch has here; what it wrote to stderr.

    Raises:
        RuntimeError: it failed.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled, as pip leaves them
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"python {' '.join(arguments)[:200]} failed:\n{done.stderr}")
    return done.stderr


def process_seconds(*arguments: str) -> float:
    """Seconds of a Python from its start to its end."""
    begun = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - begun


def peak_bytes(code: str, *arguments: str) -> float:
    """The most memory that a Python had while it executed the code; Linux alone tells."""
    return 1024 * float(run("-c", _PEAK, code, *arguments).split()[-1])
