"""Wait for other processes and threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def until(happened: Callable[[], Any], seconds: float = 30, every: float = 0.01) -> Any:
    """Poll until `happened()` is true, and return its value; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := happened()):
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(every)
    return result
