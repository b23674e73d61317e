"""What the DAGs have in common: defaults, the request, the steps, notices. No provider is imported here.

DAG files are read again and again by Airflow, and once more in every task's process; so the modules
here import nothing heavy, and a task imports the package's steps when it runs.
"""
