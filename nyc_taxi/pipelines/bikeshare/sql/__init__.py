"""The queries that fill the derived tables."""
