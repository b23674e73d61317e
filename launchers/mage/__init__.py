"""Starts Mage: its UI, or one run of a pipeline for `make run`."""
