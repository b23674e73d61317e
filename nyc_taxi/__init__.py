"""New York taxi trips: downloaded, cleaned, kept as Parquet and loaded, one month at a time.

No orchestrator is imported here; `mage_project` and `airflow_project` are faces over this package.
"""

__version__ = "0.1.0"
