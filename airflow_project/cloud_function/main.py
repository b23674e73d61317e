"""A Cloud Function that loads a trip file once it is written below `inbox/` of the bucket.

Every object of the bucket triggers it; it ignores objects elsewhere, such as the raw files of loads.

Eventarc delivers "at least once" and in any order. The run id contains the object's generation, so a
repeated event requests the same run, and Airflow responds with 409.

Environment:
    AIRFLOW_URL      URL of the Airflow web server, without a trailing slash
    AIRFLOW_API      v2 (Airflow 3, the default) or v1 (Airflow 2)
    AIRFLOW_USER, AIRFLOW_PASSWORD   for a self-hosted Airflow; empty: the function's service account
"""

from __future__ import annotations

import json
import logging
import os
import re
from typing import Any

import functions_framework
import google.auth
import requests
from cloudevents.http import CloudEvent
from google.auth.transport.requests import AuthorizedSession

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TIMEOUT = 60
"""Seconds to wait for Airflow; the function's timeout must be longer."""

FILE = re.compile(r"inbox/(?:.*/)?(yellow|green|fhvhv|fhv)_tripdata_(\d{4}-\d{2})\.(parquet|csv|csv\.gz)")

logging.basicConfig(level=logging.INFO, format="%(message)s")


class AirflowUnavailable(Exception):
    """Airflow is unavailable; raising this makes Eventarc deliver the event again."""


@functions_framework.cloud_event
def new_object(event: CloudEvent) -> None:
    """Start taxi_ingest for a trip file in the inbox; ignore any other object."""
    bucket, name, generation = (str(event.data[key]) for key in ("bucket", "name", "generation"))
    match = FILE.fullmatch(name)
    if not match:
        log_event("ignored", bucket=bucket, object=name)
        return
    service, month, _ = match.groups()
    run = f"taxi__{service}__{month}__{generation}"
    conf = {"service": service, "month": month, "source": f"gs://{bucket}/{name}"}
    log_event(start(run, conf), run=run, **conf)


def start(run: str, conf: dict[str, str]) -> str:
    """Request the run; returns `started`, `already there` or `refused`, or raises AirflowUnavailable."""
    version = os.environ.get("AIRFLOW_API") or "v2"
    address = f"{os.environ['AIRFLOW_URL']}/api/{version}/dags/taxi_ingest/dagRuns"
    body: dict[str, Any] = {"dag_run_id": run, "conf": conf}
    if version == "v2":
        body["logical_date"] = None
    try:
        answer = session().post(address, json=body, timeout=TIMEOUT)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise AirflowUnavailable(f"{address}: gave no answer ({error})") from error
    if answer.status_code == 409:
        return "already there"
    if answer.status_code == 429 or answer.status_code >= 500:
        raise AirflowUnavailable(f"{address}: answered {answer.status_code}")
    if not answer.ok:  # a retry would get the same response
        log_event("error", status=answer.status_code, answer=answer.text[:1000])
        return "refused"
    return "started"


def session() -> requests.Session:
    """Return a session with credentials for Airflow."""
    user = os.environ.get("AIRFLOW_USER")
    if not user:
        return AuthorizedSession(google.auth.default(scopes=[SCOPE])[0])
    opened = requests.Session()
    password = os.environ["AIRFLOW_PASSWORD"]
    if os.environ.get("AIRFLOW_API") == "v1":
        opened.auth = (user, password)
        return opened
    login = {"username": user, "password": password}
    answer = opened.post(f"{os.environ['AIRFLOW_URL']}/auth/token", json=login, timeout=TIMEOUT)
    if not answer.ok:
        raise AirflowUnavailable(f"{os.environ['AIRFLOW_URL']}: the login was answered {answer.status_code}")
    opened.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return opened


def log_event(what: str, **facts: Any) -> None:
    """Log one line of JSON, which Cloud Logging parses."""
    severity = "ERROR" if what in ("error", "refused") else "INFO"
    logging.info("%s", json.dumps({"severity": severity, "taxi_event": what, **facts}))
