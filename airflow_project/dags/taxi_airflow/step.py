"""A task that calls the package: set up as Airflow's pages say, and tried again only where that may help."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, task

from taxi_airflow.environment import configure_environment


def step(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Like `@task(**options)`; an error that another try cannot mend fails the task at once.

    What is returned travels as one XCom, so it must be a small reference of plain values.
    """

    def made(function: Callable[..., Any]) -> Any:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            from nyc_taxi.errors import TaxiError, Transient

            try:
                configure_environment()
                return function(*args, **kwargs)
            except TaxiError as error:
                if isinstance(error, Transient):
                    raise
                raise AirflowFailException(str(error)) from error

        return task(multiple_outputs=False, **options)(wrapped)

    return made
