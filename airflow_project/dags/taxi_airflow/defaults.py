"""Policy of all DAGs, checked by the tests: owner, tags, retries, timeouts, callbacks, limits."""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

from taxi_airflow import events

START = dt.datetime(2009, 1, 1, tzinfo=dt.UTC)
"""TLC's first month; backfills may begin here."""

VERSION = "v2"
"""Tag of the DAGs' meaning: raised when a parameter or a task changes so that old runs cannot be re-run."""

PARALLEL_MONTHS = int(os.environ.get("TAXI_PARALLEL_MONTHS") or 4)
"""How many months are processed concurrently, over all workers."""

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "taxi",
    "pool": os.environ.get("TAXI_POOL") or "default_pool",
    "retries": 3,
    "retry_delay": dt.timedelta(seconds=float(os.environ.get("TAXI_RETRY_SECONDS") or 60)),
    "retry_exponential_backoff": True,
    "max_retry_delay": dt.timedelta(minutes=15),
    "execution_timeout": dt.timedelta(hours=2),
    "on_success_callback": events.succeeded,
    "on_retry_callback": events.retried,
    "on_failure_callback": events.failed,
}


def common(*tags: str) -> dict[str, Any]:
    """Arguments of `@dag` that every DAG takes."""
    return {
        "start_date": START,
        "catchup": False,  # missed months are found by comparing with the ledgers
        "tags": ["taxi", VERSION, *tags],
        "default_args": DEFAULT_ARGS,
        "dagrun_timeout": dt.timedelta(days=2),
        # Destinations lock what they replace, so runs need not wait for each other, least of all for one that
        # waits for its retry; what runs at once is limited by task.
        "max_active_runs": 16,
    }
