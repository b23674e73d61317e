"""The views that Postgres, DuckDB and BigQuery share."""
