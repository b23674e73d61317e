"""The result of a function for a batch: the kept trips and the added columns.

Trips are identified by `source_row`. The function must keep their order and all given columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nyc_taxi.schema import FLAG_COLUMNS, LINEAGE_COLUMNS, RESERVED, SYSTEM_COLUMNS
from nyc_taxi.transform.user.frames import Frames
from nyc_taxi.transform.user.source import NAME

ROW = "source_row"

_TAKEN = {column.name for column in (*LINEAGE_COLUMNS, *FLAG_COLUMNS)} | RESERVED | SYSTEM_COLUMNS


class RefusedResult(Exception):
    """A function's result cannot be loaded; the message continues a sentence after the function's name."""


@dataclass(frozen=True)
class Result:
    """One batch, transformed."""

    kept: np.ndarray
    """Positions of the kept trips in the batch, ascending."""
    added: dict[str, pa.Array]
    """New columns of the kept trips, in types that every destination supports, or of type null."""

    def equals(self, other: Result) -> bool:
        """Return whether both hold the same values."""
        return (
            np.array_equal(self.kept, other.kept)
            and self.added.keys() == other.added.keys()
            and all(_equal(values, other.added[name]) for name, values in self.added.items())
        )


def result_of(returned: Any, given: pa.RecordBatch, frame: Any, frames: Frames) -> Result:
    """Validate a returned frame: its types against `frame`, its values against `given`.

    Raises RefusedResult.
    """
    if not frames.is_frame(returned):
        advice = "; end it with `return trips`" if returned is None else ""
        raise RefusedResult(f"returns {_kind(returned)} instead of a {frames.kind}{advice}")
    names = frames.names(returned)
    for name in names:
        if not isinstance(name, str) or names.count(name) > 1:
            what = "twice" if isinstance(name, str) else f"whose name is not text but {_kind(name)}"
            raise RefusedResult(f"returns a column {name!r} {what}; rename it")
    for name in given.schema.names:
        if name not in names:
            raise RefusedResult(
                f"removes or renames the column {name}; keep it and add a column of another name"
            )
        if frames.type_of(returned, name) != frames.type_of(frame, name):
            types = f"{frames.type_of(frame, name)} to {frames.type_of(returned, name)}"
            raise RefusedResult(
                f"changes the type of {name} from {types}; add a column of another name instead"
            )
    kept = _kept(frames.array(returned, ROW), given[ROW].to_numpy())
    expected = given if len(kept) == len(given) else given.take(pa.array(kept))
    for name in given.schema.names:
        if not _equal(_array(frames, returned, name), expected[name]):
            raise RefusedResult(f"changes values of the column {name}; add a column of another name instead")
    added = [name for name in names if name not in given.schema.names]
    _check_names(added)
    return Result(kept, {name: _storable(name, _array(frames, returned, name)) for name in added})


def _kept(returned: pa.Array, given: np.ndarray) -> np.ndarray:
    """Return the positions of the returned rows, which must be given rows, each once and in order."""
    rows = returned.to_numpy(zero_copy_only=False)
    positions = np.searchsorted(given, rows) if not returned.null_count else np.array([], np.int64)
    inside = positions < len(given)
    if returned.null_count or not inside.all() or (given[positions] != rows).any():
        raise RefusedResult(f"returns rows that it was not given; keep the values of {ROW}")
    steps = np.diff(rows)
    if (steps <= 0).any():
        if len(np.unique(rows)) < len(rows):
            raise RefusedResult(
                "returns trips more than once; a trip may stay or be dropped, not be repeated"
            )
        raise RefusedResult(f"returns the trips in another order; end it with a sort by {ROW}")
    return positions


def _equal(one: pa.Array, other: pa.Array) -> bool:
    """Return whether arrays hold the same values; NaN counts as null, as in pandas."""
    if one.type != other.type:
        try:
            one = one.cast(other.type)
        except pa.ArrowException:
            return False
    if one.equals(other):
        return True
    if not pa.types.is_floating(one.type) or len(one) != len(other):
        return False
    left, right = (array.to_numpy(zero_copy_only=False) for array in (one, other))
    return np.array_equal(left, right, equal_nan=True)


def _array(frames: Frames, frame: Any, name: str) -> pa.Array:
    try:
        return frames.array(frame, name)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise RefusedResult(f"adds a column {name} whose values have no common type ({reason})") from None


def _check_names(added: Iterable[str]) -> None:
    for name in added:
        if name in _TAKEN:
            raise RefusedResult(
                f"adds a column {name}, a name that is reserved for the tables' own columns; rename it"
            )
        if not NAME.fullmatch(name):
            raise RefusedResult(
                f"adds a column {name!r}; begin its name with a lower-case letter and use"
                " lower-case letters, digits and _ only, at most 63"
            )


def _storable(name: str, values: pa.Array) -> pa.Array:
    """Cast the values to one of few wide types, so that later batches and months fit too."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    target, advice = _target(values.type)
    if target is None:
        raise RefusedResult(
            f"adds a column {name} of type {values.type}, which not all destinations support; {advice}"
        )
    try:
        # truncates times to microseconds
        return values.cast(target, safe=not pa.types.is_timestamp(target))
    except pa.ArrowInvalid as error:
        raise RefusedResult(f"adds a column {name} whose values do not fit {target} ({error})") from None


def _target(kind: pa.DataType) -> tuple[pa.DataType | None, str]:
    """Return the type in which to store a new column, or None with advice."""
    types = pa.types
    if types.is_null(kind) or types.is_boolean(kind):
        return kind, ""
    if types.is_integer(kind):
        return pa.int64(), ""
    if types.is_floating(kind):
        return pa.float64(), ""
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string(), ""
    if types.is_date(kind):
        return pa.date32(), ""
    if types.is_timestamp(kind):
        return (pa.timestamp("us"), "") if kind.tz is None else (None, "remove the time zone")
    if types.is_duration(kind):
        return None, "turn it into a number, such as seconds or minutes"
    if types.is_decimal(kind):
        return None, "turn it into a float"
    return None, "turn it into text or a number"


def _kind(value: object) -> str:
    return (
        "nothing" if value is None else f"a {type(value).__module__.partition('.')[0]}.{type(value).__name__}"
    )


def widen(before: dict[str, pa.DataType], added: dict[str, pa.Array]) -> dict[str, pa.DataType]:
    """Merge the types of a batch's added columns into earlier ones; all-null columns have none yet.

    Raises RefusedResult if the batch has other columns or types than earlier batches.
    """
    types = {name: values.type for name, values in added.items()}
    if not before:
        return types
    for name in (name for name in (before | types) if (name in before) != (name in types)):
        how = "does not add" if name in before else "adds"
        raise RefusedResult(
            f"{how} the column {name}, unlike for the trips before; add it to all trips or to none"
        )
    for name, kind in types.items():
        earlier = before[name]
        if pa.types.is_null(kind):
            types[name] = earlier
        elif kind != earlier and not pa.types.is_null(earlier):
            raise RefusedResult(
                f"adds the column {name} as {kind}, but as {earlier} to the trips before; convert it"
            )
    return {name: types[name] for name in before}


def spread(values: pa.Array, positions: np.ndarray, length: int) -> pa.Array:
    """Return an array of `length` with the values at ascending positions and null elsewhere."""
    if len(positions) == length:
        return values
    places = np.full(length, -1)
    places[positions] = np.arange(len(positions))
    return pc.take(values, pa.array(places, mask=places < 0))
