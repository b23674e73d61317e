"""A patch of Mage's retries: blocks are not retried after permanent errors, such as a wrong setting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mage_ai.shared import retry as mage_retry

from nyc_taxi.errors import TaxiError, Transient

_retry = mage_retry.retry


def patch_retries() -> None:
    """Replace Mage's decorator, which block executors look up for each block."""
    mage_retry.retry = retry


def retry(*arguments: Any, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate as Mage's `retry` does, but raise permanent errors at once."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*values: Any, **named: Any) -> Any:
            permanent = []

            def attempt() -> Any:
                try:
                    return function(*values, **named)
                except TaxiError as error:
                    if isinstance(error, Transient):
                        raise
                    permanent.append(error)  # to Mage's decorator, the attempt succeeds

            result = _retry(*arguments, **options)(attempt)()
            if permanent:
                raise permanent[0]
            return result

        return run

    return decorate
