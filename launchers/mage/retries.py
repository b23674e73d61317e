"""Mage attempts a block again only if that can help: not after a wrong variable, setting or file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mage_ai.shared import retry as mage_retry

from nyc_taxi.errors import TaxiError, Transient

_retry = mage_retry.retry


def patch_retries() -> None:
    """Replace Mage's decorator, which executors of blocks look up for each block."""
    mage_retry.retry = retry


def retry(*arguments: Any, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mage's decorator; permanent errors pass through it at once."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*values: Any, **named: Any) -> Any:
            permanent = []

            def attempt() -> Any:
                try:
                    return function(*values, **named)
                except TaxiError as error:
                    if isinstance(error, Transient):
                        raise
                    permanent.append(error)  # for Mage's decorator this attempt has succeeded

            result = _retry(*arguments, **options)(attempt)()
            if permanent:
                raise permanent[0]
            return result

        return run

    return decorate
