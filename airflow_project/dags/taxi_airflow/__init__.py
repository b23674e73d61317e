"""What the DAGs have in common: defaults, the request, the steps, notices. No provider is imported here.

Airflow parses DAG files continually, and again in every task's process. So these modules import nothing
heavy; a task imports the package's steps when it runs.
"""
