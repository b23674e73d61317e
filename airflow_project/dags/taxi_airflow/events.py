"""Events of tasks in the task's log, as `nyc_taxi.telemetry.events` defines them, and e-mail on failure.

The steps of a month log their events themselves.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from html import escape
from typing import Any

log = logging.getLogger("taxi_airflow")


def succeeded(context: Mapping[str, Any]) -> None:
    """Callback of a task that is done; Airflow 2 calls it for a skipped one too."""
    if str(context["ti"].state) != "skipped":
        tell("succeeded", **_who(context))


def retried(context: Mapping[str, Any]) -> None:
    """Callback of a task that will be tried again."""
    tell("retried", severity="WARNING", **_who(context), error=str(context.get("exception")))


def failed(context: Mapping[str, Any]) -> None:
    """Callback of a task that has failed for good; also mails where TAXI_ALERT_EMAIL names an address.

    What the task failed of is the last line of its log.
    """
    error = str(context.get("exception"))
    tell("failed", severity="ERROR", **_who(context), error=error)
    try:
        _mail(context)
    finally:
        log.error("%s", error)


def step(name: str, **facts: Any) -> AbstractContextManager[dict[str, Any]]:
    """Log a step of this task as an event, for what the package does not log itself."""
    from nyc_taxi.telemetry import events

    return events.step(name, **facts)


def tell(event: str, **facts: Any) -> None:
    """Log an event as one line of JSON."""
    os.environ.setdefault("TAXI_LOG", "json")
    from nyc_taxi.telemetry import events

    events.emit(event, **facts)


def _who(context: Mapping[str, Any]) -> dict[str, Any]:
    instance = context["ti"]
    return {
        "run_id": instance.run_id,
        "orchestrator": "airflow",
        "dag": instance.dag_id,
        "task": instance.task_id,
        "map_index": instance.map_index,
        "try_number": instance.try_number,
    }


def _mail(context: Mapping[str, Any]) -> None:
    """Mail the error and the address of the task's log, where TAXI_ALERT_EMAIL names somebody."""
    from taxi_airflow.environment import configure_environment

    configure_environment()
    address = os.environ.get("TAXI_ALERT_EMAIL")
    if not address:
        return
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    who = _who(context)
    rows = "".join(f"<tr><th>{name}</th><td>{escape(str(value))}</td></tr>" for name, value in who.items())
    url = escape(context["ti"].log_url)
    SmtpNotifier(
        to=address,
        from_email=os.environ.get("TAXI_ALERT_FROM") or address,
        subject=_verbatim(f"{who['dag']}: {who['task']} failed in {who['run_id']}"),
        html_content=_verbatim(
            f"<p>{escape(str(context.get('exception')))}</p>"
            f'<p><a href="{url}">Log of the task</a></p><table>{rows}</table>'
        ),
    )(context)


def _verbatim(text: str) -> str:
    """The text for a field that is a Jinja template: an error may quote braces."""
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}"
