"""Convert batches of trips to the data frame library of the function's annotation, and back to Arrow."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from typing import Any, Protocol

import pyarrow as pa


class Frames(Protocol):
    """The data frames of one library."""

    kind: str
    """Type of the function's argument and result, for users."""

    def frame(self, batch: pa.RecordBatch) -> Any:
        """Return the batch as a frame; a copy if the function could modify the batch."""
        ...

    def is_frame(self, value: object) -> bool:
        """Return whether the value is a frame of the library."""
        ...

    def names(self, frame: Any) -> list[Any]:
        """The columns' names."""
        ...

    def type_of(self, frame: Any, name: str) -> object:
        """Return a column's type, for comparison with another frame's."""
        ...

    def array(self, frame: Any, name: str) -> pa.Array:
        """Return a column; raises pa.ArrowException if Arrow cannot represent it."""
        ...


class PandasFrames:
    """pandas, with nullable types for integers and text."""

    kind = "pandas.DataFrame"

    def __init__(self) -> None:
        import pandas as pd

        self._pandas = pd
        self._types = {
            pa.int16(): pd.Int16Dtype(),
            pa.int32(): pd.Int32Dtype(),
            pa.int64(): pd.Int64Dtype(),
            pa.string(): pd.StringDtype("pyarrow"),
        }

    def frame(self, batch: pa.RecordBatch) -> Any:
        """See Frames."""
        return batch.to_pandas(types_mapper=self._types.get, use_threads=False)

    def is_frame(self, value: object) -> bool:
        """See Frames."""
        return isinstance(value, self._pandas.DataFrame)

    def names(self, frame: Any) -> list[Any]:
        """See Frames."""
        return list(frame.columns)

    def type_of(self, frame: Any, name: str) -> object:
        """See Frames."""
        return frame[name].dtype

    def array(self, frame: Any, name: str) -> pa.Array:
        """See Frames."""
        # not pa.Array.from_pandas: to start faster, the command line hides pandas from pyarrow
        values = frame[name].array
        if hasattr(values, "__arrow_array__"):
            return _one_chunk(values.__arrow_array__())
        if isinstance(values, self._pandas.Categorical):
            codes = pa.array(values.codes, mask=values.codes < 0)
            return pa.DictionaryArray.from_arrays(codes, pa.array(values.categories.to_numpy()))
        return pa.array(values.to_numpy(), from_pandas=True)


class PolarsFrames:
    """polars."""

    kind = "polars.DataFrame"

    def __init__(self) -> None:
        import polars as pl

        self._polars = pl

    def frame(self, batch: pa.RecordBatch) -> Any:
        """See Frames."""
        return self._polars.from_arrow(batch)

    def is_frame(self, value: object) -> bool:
        """See Frames."""
        return isinstance(value, self._polars.DataFrame)

    def names(self, frame: Any) -> list[Any]:
        """See Frames."""
        return list(frame.columns)

    def type_of(self, frame: Any, name: str) -> object:
        """See Frames."""
        return frame.schema[name]

    def array(self, frame: Any, name: str) -> pa.Array:
        """See Frames."""
        return _one_chunk(frame[name].to_arrow())


class ArrowFrames:
    """pyarrow: record batches or tables."""

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self.kind = f"pyarrow.{kind.__name__}"

    def frame(self, batch: pa.RecordBatch) -> Any:
        """See Frames; Arrow data is immutable."""
        return batch if self._kind is pa.RecordBatch else pa.Table.from_batches([batch])

    def is_frame(self, value: object) -> bool:
        """See Frames."""
        return isinstance(value, pa.RecordBatch | pa.Table)

    def names(self, frame: Any) -> list[Any]:
        """See Frames."""
        return list(frame.schema.names)

    def type_of(self, frame: Any, name: str) -> object:
        """See Frames."""
        return frame.schema.field(name).type

    def array(self, frame: Any, name: str) -> pa.Array:
        """See Frames."""
        return _one_chunk(frame.column(name))


def frames_for(annotation: Any) -> Frames | None:
    """Return the frames of an annotation, pandas by default; None for unsupported types."""
    if annotation is None:
        return PandasFrames()
    if annotation in (pa.RecordBatch, pa.Table):
        return ArrowFrames(annotation)
    if getattr(annotation, "__name__", "") == "DataFrame":
        match annotation.__module__.partition(".")[0]:
            case "pandas":
                return PandasFrames()
            case "polars":
                return PolarsFrames()
    return None


def limit_threads() -> None:
    """Limit polars to one thread; must be called before polars is imported."""
    if "polars" not in sys.modules:
        os.environ.setdefault("POLARS_MAX_THREADS", "1")


def return_memory_early() -> None:
    """Have Arrow return freed memory at once, as pandas takes 80 MB more: 10 to 30 MB less at peak."""
    if pa.default_memory_pool().backend_name == "jemalloc":
        pa.jemalloc_set_decay_ms(50)


def return_heap() -> None:
    """Return to the system what pandas has freed, where C's library can (glibc): 25 MB."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _one_chunk(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(values, pa.ChunkedArray):
        return values
    return values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
