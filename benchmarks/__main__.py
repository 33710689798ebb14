"""The command line: which parts to measure, for how many rounds, and where the numbers go."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from benchmarks import (
    gpu,
    input,  # noqa: A004
    losses,
    memory,
    report,
    results,
    scaling,
    startup,
    training,
)
from benchmarks.comparison import Options
from benchmarks.timing import machine, measure, table

PARTS = {
    "training": training.comparisons,
    "input": input.comparisons,
    "losses": losses.comparisons,
    "results": results.comparisons,
    "report": report.comparisons,
    "startup": startup.comparisons,
    "memory": memory.comparisons,
    "scaling": scaling.comparisons,
    "gpu": gpu.comparisons,
}


def main() -> None:
    """Measure the parts one after the other, print a table of each, and write them all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go")
    parser.add_argument(
        "--models", nargs="+", default=(), choices=training.STUDY, help="more models to train"
    )
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds: at least 1")
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    options = Options(arguments.quick, tuple(arguments.models))
    torch.manual_seed(0)
    content = {"machine": machine(), "rounds": arguments.rounds, "quick": arguments.quick}
    print("\n".join(f"{name}: {value}" for name, value in content["machine"].items()))
    content["parts"] = {}
    for part in arguments.parts or PARTS:
        found = [measure(comparison, arguments.rounds) for comparison in PARTS[part](options)]
        print(f"\n## {part}\n\n{table(found)}", flush=True)
        content["parts"][part] = [measurement.to_json() for measurement in found]
    if arguments.json:
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
