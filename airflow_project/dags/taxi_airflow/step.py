"""A task that calls the package, with the settings from Airflow; only transient errors are retried."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, task

from taxi_airflow import load_requests
from taxi_airflow.environment import configure_environment


def step(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Like `@task(**options)`; a permanent error fails the task at once, and its sentence ends the log.

    The result is one XCom, so it must be a small reference of plain values.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            from nyc_taxi.errors import TaxiError, Transient
            from nyc_taxi.telemetry.events import bound

            try:
                configure_environment()
                with bound(load_requests.run()):
                    return function(*args, **kwargs)
            except TaxiError as error:
                if isinstance(error, Transient):
                    raise
                sentence = str(error)
            raise AirflowFailException(sentence)  # out of the handler: the log has one traceback, not a chain

        return task(multiple_outputs=False, **options)(wrapped)

    return decorate
