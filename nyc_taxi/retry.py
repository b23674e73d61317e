"""The retry policy: which errors are retried, how often, and with which backoff.

The type of an error decides (`nyc_taxi.errors`): `Transient` errors are retried, all others are not.
Backends only map their exceptions to these types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import stamina

from nyc_taxi.errors import LockTimeout, PreconditionFailed, Transient
from nyc_taxi.settings import Settings

T = TypeVar("T")

WAIT_INITIAL = 0.2
"""Seconds before the second attempt; doubled before each further one, plus up to a second of jitter."""

WAIT_MAX = 20.0
"""Maximum backoff in seconds."""

MAX_RETRY_AFTER = 60.0
"""Maximum Retry-After in seconds; if a server asks for more, the call fails at once."""


@dataclass(frozen=True)
class RetryPolicy:
    """Number of attempts, and timeout of each, for calls to other processes and services."""

    attempts: int = 5
    timeout: float = 30.0
    """Seconds to wait for a connection and for a response."""

    @classmethod
    def of(cls, settings: Settings) -> RetryPolicy:
        """Return the policy of TAXI_RETRIES and TAXI_TIMEOUT."""
        return cls(settings.retries, settings.timeout)

    def call(self, action: Callable[[], T]) -> T:
        """Call the action, retrying transient errors, and return its result."""
        return self._first_result(is_retryable, action)

    def restart(self, action: Callable[[], T], on: type[Exception] = PreconditionFailed) -> T:
        """Call the action, restarting it after errors of one type: by default, when another writer won."""
        return self._first_result(on, action)

    def _first_result(
        self, on: type[Exception] | Callable[[Exception], bool | float], action: Callable[[], T]
    ) -> T:
        for attempt in self.retrying(on):
            with attempt:
                return action()
        raise AssertionError("the last attempt returns or raises")

    def retrying(
        self, on: type[Exception] | Callable[[Exception], bool | float]
    ) -> Iterable[stamina.Attempt]:
        """Iterate over attempts, for use as context managers."""
        return stamina.retry_context(
            on=on, attempts=self.attempts, timeout=None, wait_initial=WAIT_INITIAL, wait_max=WAIT_MAX
        )


DEFAULT_RETRY = RetryPolicy()


def wait_for_others(
    on: type[Exception] | Callable[[Exception], bool], patience: float
) -> Iterable[stamina.Attempt]:
    """Iterate over attempts until others release a lock, for at most `patience` seconds."""
    return stamina.retry_context(on=on, attempts=None, timeout=patience, wait_initial=1, wait_max=10)


def is_retryable(error: Exception) -> bool | float:
    """Decide, as stamina's backoff hook, whether to retry, or after how many seconds."""
    if isinstance(error, LockTimeout | PreconditionFailed):
        return False  # has already waited, or must restart
    if not isinstance(error, Transient):
        return False
    if error.retry_after is None:
        return True
    return error.retry_after <= MAX_RETRY_AFTER and float(error.retry_after)
