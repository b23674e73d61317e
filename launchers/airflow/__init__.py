"""Start Airflow on this machine, without containers."""
