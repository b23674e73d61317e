"""Whether parts of Airflow work, as its own api-server says: `python -m launchers.airflow.health [PART]`.

Parts: metadatabase (that of the api-server itself, the default), scheduler, dag_processor, triggerer.
Asking costs far less than Airflow's own command for it, which imports Airflow.
"""

from __future__ import annotations

import json
import os
import sys
from http.client import HTTPException
from urllib.request import ProxyHandler, build_opener

URL = os.environ.get("AIRFLOW_URL", "http://127.0.0.1:8080")


def works(part: str = "metadatabase") -> bool:
    """Ask the api-server at AIRFLOW_URL; parts that have sent no sign of life for a while do not work."""
    try:
        with build_opener(ProxyHandler({})).open(f"{URL}/api/v2/monitor/health", timeout=5) as answer:
            return bool(json.load(answer)[part]["status"] == "healthy")
    except (OSError, HTTPException, ValueError, LookupError):
        return False


if __name__ == "__main__":
    sys.exit(not works(*sys.argv[1:]))
