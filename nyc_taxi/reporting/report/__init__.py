"""The report: one month as a self-contained page of HTML."""
