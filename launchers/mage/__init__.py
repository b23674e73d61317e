"""Start Mage: its UI, or one pipeline for make run."""
