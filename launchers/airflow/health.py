"""Check a component of Airflow through its api-server: `python -m launchers.airflow.health [COMPONENT]`.

Components: metadatabase (the default), scheduler, dag_processor, triggerer. This is much faster than
Airflow's own command, which imports Airflow.
"""

from __future__ import annotations

import json
import os
import sys
from http.client import HTTPException
from urllib.request import ProxyHandler, build_opener

URL = os.environ.get("AIRFLOW_URL", "http://127.0.0.1:8080")


def works(part: str = "metadatabase") -> bool:
    """Query the api-server at AIRFLOW_URL; components without a recent heartbeat are unhealthy."""
    try:
        with build_opener(ProxyHandler({})).open(f"{URL}/api/v2/monitor/health", timeout=5) as answer:
            return bool(json.load(answer)[part]["status"] == "healthy")
    except (OSError, HTTPException, ValueError, LookupError):
        return False


if __name__ == "__main__":
    sys.exit(not works(*sys.argv[1:]))
