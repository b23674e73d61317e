"""What BigQuery and DuckDB have in common: views, and how a load is recorded."""
