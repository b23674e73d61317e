"""What BigQuery and DuckDB have in common: how a load is recorded."""
