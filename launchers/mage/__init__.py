"""Start Mage: its UI, or one pipeline run for `make run`."""
