"""A transform's function: loaded from its file without Mage, and called batch by batch."""

from __future__ import annotations

import contextlib
import inspect
import traceback
import typing
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import pyarrow as pa

from nyc_taxi.errors import TransformError
from nyc_taxi.transform.user.frames import Frames, frames_for, limit_threads, return_memory_early
from nyc_taxi.transform.user.result import RefusedResult, Result, result_of
from nyc_taxi.transform.user.source import Transform


class BatchFunction:
    """The loaded function."""

    def __init__(self, transform: Transform) -> None:
        self._transform = transform
        return_memory_early()
        self._function = load_function(transform)
        self._frames = _frames_of(transform, self._function)
        self._types: Any = None
        self._repeated = False

    def __call__(self, trips: pa.RecordBatch) -> Result:
        """Return the result for a batch of at least one trip; raises RefusedResult or TransformError.

        Calls the function twice for the first batch, to check that it is deterministic.
        """
        result = self._once(trips)
        if not self._repeated:
            self._repeated = True
            if not self._once(trips).equals(result):
                raise RefusedResult(
                    "returns something else when it is called again for the same trips;"
                    " use no random numbers, no clock and no state between calls"
                )
        return result

    def _once(self, trips: pa.RecordBatch) -> Result:
        frame = self._frames.frame(trips)
        with (
            failure_named(self._transform, trips["source_row"][0].as_py()),
            _no_chained_warnings(self._frames),
        ):
            returned = self._function(frame)
        # types are compared with a separate frame: the function may have modified its argument
        self._types = self._frames.frame(trips.slice(0, 0)) if self._types is None else self._types
        return result_of(returned, trips, self._types, self._frames)


def load_function(transform: Transform) -> Callable[[Any], Any]:
    """Execute the file's statements except those for Mage, and return the marked function."""
    limit_threads()
    namespace: dict[str, Any] = {"__name__": transform.path.stem, "__file__": str(transform.path)}
    with failure_named(transform):
        exec(compile(transform.module, str(transform.path), "exec", dont_inherit=True), namespace)
    function: Callable[[Any], Any] = namespace[transform.name]
    return function


def same_code(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Return whether two functions have the same code, regardless of file and line."""
    return _normalised(_code(one)) == _normalised(_code(other))


def changes_nothing(function: Callable[..., Any]) -> bool:
    """Return whether the function only returns its argument."""
    return _code(function).co_code == _code(lambda trips: trips).co_code


@contextlib.contextmanager
def failure_named(transform: Transform, first_row: int | None = None) -> Iterator[None]:
    """Turn an exception of the file into a TransformError with its line and the batch's first row."""
    try:
        yield
    except (Exception, SystemExit) as error:
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == str(transform.path)
        ]
        line = lines[-1] if lines else transform.line
        batch = f" for the trips from row {first_row:,} on" if first_row else ""
        reason = " ".join(str(error).split()).rstrip(".")
        advice = "; install it where the pipeline runs" if isinstance(error, ModuleNotFoundError) else ""
        raise TransformError(
            f"{transform.path}, line {line}: {transform.name}() fails{batch}"
            f" ({type(error).__name__}: {reason}){advice}."
        ) from error


def _frames_of(transform: Transform, function: Callable[..., Any]) -> Frames:
    (name,) = inspect.signature(function).parameters
    with failure_named(transform):
        annotation = typing.get_type_hints(function).get(name)
    frames = frames_for(annotation)
    if frames is None:
        raise TransformError(
            f"{transform.path}, line {transform.line}: {transform.name}() takes {annotation!r}; annotate"
            f" {name} with pandas.DataFrame, polars.DataFrame, pyarrow.RecordBatch or pyarrow.Table."
        )
    return frames


@contextlib.contextmanager
def _no_chained_warnings(frames: Frames) -> Iterator[None]:
    """Disable pandas 2's check of `trips = trips[...]; trips["x"] = ...`, which collects garbage."""
    if frames.kind != "pandas.DataFrame":
        yield
        return
    import pandas as pd

    if int(pd.__version__.partition(".")[0]) > 2:
        yield
        return
    with pd.option_context("mode.chained_assignment", None):
        yield


def _code(function: Callable[..., Any]) -> CodeType:
    code: CodeType = inspect.unwrap(function).__code__
    return code


def _normalised(code: CodeType) -> tuple[Any, ...]:
    constants = (
        _normalised(each) if isinstance(each, CodeType) else (type(each), each) for each in code.co_consts
    )
    return code.co_code, code.co_names, code.co_varnames, tuple(constants)
