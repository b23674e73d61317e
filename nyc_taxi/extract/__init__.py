"""Extract: find where a month is published and fetch its file, whole and verified."""
