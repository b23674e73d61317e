"""Airflow with the libraries of tasks imported: `python -m launchers.airflow.preload scheduler`.

The scheduler (LocalExecutor) and a Celery worker fork a process for each task. What they have imported before
is imported in each task; imports of its own cost a task half a second of a processor. The package and the DAG
files are not among them: a task reads them anew, so that an edit counts for the next task.
"""

from __future__ import annotations

import contextlib
import importlib
import sys

LIBRARIES = (
    "airflow.dag_processing.dagbag",
    "airflow.providers.common.compat.sdk",
    "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    *("httpx", "pgpq", "psycopg2", "pydantic_settings", "sqlalchemy", "stamina"),
    *("pyarrow.compute", "pyarrow.dataset", "pyarrow.parquet"),
    "google.cloud.storage",
)
"""What most tasks import; not DuckDB, whose thread does not survive the fork."""


def main() -> None:
    """Import the libraries that are installed, then be `airflow ...`."""
    import nyc_taxi  # noqa: F401  # chooses Arrow's allocator

    for name in LIBRARIES:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    from airflow.__main__ import main as airflow

    sys.argv[0] = "airflow"
    airflow()


if __name__ == "__main__":
    main()
