"""Programs that start Mage or Airflow on this machine."""
