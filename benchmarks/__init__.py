"""ltcore against what it is measured by: ratios taken side by side, by `python -m benchmarks`."""
