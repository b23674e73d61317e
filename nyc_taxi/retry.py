"""The one retry policy: which errors are retried, how often, and after which delays.

Errors carry the decision (`nyc_taxi.errors`): Transient ones are worth another attempt, all others are
not. Backends only map their own exceptions to these.
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
"""Seconds before the second attempt; doubled for each further one, plus up to a second of jitter."""

WAIT_MAX = 20.0
"""The longest pause between two attempts, in seconds."""

LONGEST_RETRY_AFTER = 60.0
"""If a server asks clients to wait longer than this, the call fails at once."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and with which timeout, calls to other processes and services are attempted."""

    attempts: int = 5
    timeout: float = 30.0
    """Seconds to wait for a connection, and for an answer."""

    @classmethod
    def of(cls, settings: Settings) -> RetryPolicy:
        """TAXI_RETRIES attempts with TAXI_TIMEOUT."""
        return cls(settings.retries, settings.timeout)

    def call(self, action: Callable[[], T]) -> T:
        """The action's result, from the first attempt that does not fail transiently."""
        return self._first_result(is_worth_another_attempt, action)

    def restart(self, action: Callable[[], T], on: type[Exception] = PreconditionFailed) -> T:
        """The same for work that starts over after one kind of error: by default when a writer was faster."""
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
        """The attempts themselves."""
        return stamina.retry_context(
            on=on, attempts=self.attempts, timeout=None, wait_initial=WAIT_INITIAL, wait_max=WAIT_MAX
        )


DEFAULT_RETRY = RetryPolicy()


def wait_for_others(
    on: type[Exception] | Callable[[Exception], bool], patience: float
) -> Iterable[stamina.Attempt]:
    """Attempts until others release a lock, for at most `patience` seconds."""
    return stamina.retry_context(on=on, attempts=None, timeout=patience, wait_initial=1, wait_max=10)


def is_worth_another_attempt(error: Exception) -> bool | float:
    """Backoff hook of stamina: whether to try again, or after how many seconds."""
    if isinstance(error, LockTimeout | PreconditionFailed):
        return False  # waited long enough already, or must start over
    if not isinstance(error, Transient):
        return False
    if error.retry_after is None:
        return True
    return error.retry_after <= LONGEST_RETRY_AFTER and float(error.retry_after)
