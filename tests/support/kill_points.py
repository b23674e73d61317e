"""Places in the package's code at which a test kills a process.

A kill point is written `module:function:event` or `module:function:event:time`, for example
`nyc_taxi.load.warehouse.duckdb.replace:replace_month:before commit`. The function is named by its qualified
name, as in `DuckDb.replace_month` or `stage.<locals>.start`. The event is `call` or `return` of the function
itself, or `before NAME` or `after NAME` for a call that it makes to a function written in C, such as a
connection's `commit`. The time says which occurrence is meant; the first is 1, the default.

A kill point is checked against the source when it is parsed, which tests do while they are collected: moved
or renamed code breaks the collection instead of leaving a test that kills nothing.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Self

PYTHON_EVENTS = {"call", "return"}
C_EVENTS = {"before": "c_call", "after": "c_return"}


@dataclass(frozen=True)
class KillPoint:
    """A place in the code, known to exist."""

    module: str
    function: str
    event: str
    """As in sys.setprofile."""
    callee: str
    """Name of the C function for `c_call` and `c_return`, otherwise empty."""
    time: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a kill point; raises LookupError when the code has no such place."""
        module, function, event, *time = text.split(":")
        verb, _, callee = event.partition(" ")
        codes = {code.co_qualname: code for code in _codes(_compiled(module))}
        if function not in codes:
            raise LookupError(f"kill point {text!r}: {module} has no function {function}")
        if callee and verb in C_EVENTS:
            if callee not in codes[function].co_names:
                raise LookupError(f"kill point {text!r}: {function} does not call {callee}")
        elif event not in PYTHON_EVENTS:
            raise LookupError(f"kill point {text!r}: {event!r} is no event")
        return cls(module, function, C_EVENTS.get(verb, verb), callee, int(time[0]) if time else 1)

    def kill_here(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Watch this thread, and send the process the signal when it reaches the place."""
        left = self.time

        def watch(frame: FrameType, event: str, callee: Any) -> None:
            nonlocal left
            if event != self.event or frame.f_code.co_qualname != self.function:
                return
            if frame.f_globals.get("__name__") != self.module:
                return
            if self.callee and getattr(callee, "__name__", "") != self.callee:
                return
            left -= 1
            if left == 0:
                os.kill(os.getpid(), number)

        sys.setprofile(watch)


def checked(*texts: str) -> tuple[str, ...]:
    """Return the kill points; raises LookupError if one does not exist."""
    for text in texts:
        KillPoint.parse(text)
    return texts


def checked_modules(*names: str) -> tuple[str, ...]:
    """Return the names of modules; raises LookupError if one does not exist."""
    for name in names:
        _origin(name)
    return names


def _origin(module: str) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise LookupError(f"there is no module {module}")
    return Path(spec.origin)


def _compiled(module: str) -> CodeType:
    path = _origin(module)
    return compile(path.read_text(encoding="utf-8"), str(path), "exec")


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code objects of all nested functions and classes."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)
