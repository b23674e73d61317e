"""Pipelines: the steps in order, which the command line, Mage and Airflow call."""
