"""The steps of one month in order: `run` runs them all, blocks and tasks call them one by one.

Each step is idempotent: it finds existing results by the month's version and then only logs them.
"""
