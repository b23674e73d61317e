"""Waiting for what another process or thread does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def until(happened: Callable[[], Any], seconds: float = 30, every: float = 0.01) -> None:
    """Return once it has happened, asking again and again; `seconds` is only reached when it never does."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "what the test waits for did not happen"
        time.sleep(every)
