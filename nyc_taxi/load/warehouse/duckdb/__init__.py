"""DuckDB, the embedded warehouse: the same tables as in BigQuery, in one file on this machine."""
