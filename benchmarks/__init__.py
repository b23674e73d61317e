"""This pipeline, what people use instead, and the machine's limit: side by side, in one run.

`python -m benchmarks` (`make bench`); docs/performance.md says what is compared, and how fairly.
"""
