"""Extract: find a published month, fetch its file and verify it."""
