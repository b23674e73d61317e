"""Pipelines: the ordered steps that the command line, Mage and Airflow call."""
