"""Benchmark this pipeline against alternatives and the machine's limits, in one run.

`python -m benchmarks` (`make bench`); docs/performance.md describes what is compared, and how fairly.
"""
