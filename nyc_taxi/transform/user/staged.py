"""The result of a transform for a cleaned month, on scratch storage beside its rows.

Each staged batch has a batch of equal length with a mask of dropped rows and the new columns, null for rows
that are not trips. A column has no type until it has values; from then on batches go to another file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

from nyc_taxi.model.references import CleanMonth

DROPPED = "_dropped"


def derived_folder(clean: Path, version: str) -> Path:
    """Return the folder of one version's result, within the folder of the cleaned month."""
    return clean / f"derived-{version}"


class DerivedWriter:
    """Writes the batches in order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: pa.RecordBatchStreamWriter | None = None
        self._schema = pa.schema([])
        self._files = 0

    def __enter__(self) -> DerivedWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer:
            self._writer.close()

    def write(self, dropped: np.ndarray, added: dict[str, pa.Array], types: dict[str, pa.DataType]) -> None:
        """Append one batch."""
        schema = pa.schema([(DROPPED, pa.bool_()), *types.items()])
        if self._writer is None or schema != self._schema:
            self.__exit__()
            self._writer = pa.ipc.new_stream(str(self._folder / f"{self._files:03}.arrow"), schema)
            self._schema = schema
            self._files += 1
        columns = [added[name].cast(kind) for name, kind in types.items()]
        self._writer.write_batch(pa.RecordBatch.from_arrays([pa.array(dropped), *columns], schema=schema))


class DerivedMonth:
    """The open files of the written batches, which stay readable if deleted.

    Raises FileNotFoundError if they no longer exist.
    """

    def __init__(self, clean: CleanMonth) -> None:
        folder = derived_folder(clean.folder, clean.version)
        folder.stat()  # a month without a batch has a folder without files
        with ExitStack() as opened:
            self._streams = [
                opened.enter_context(pa.ipc.open_stream(opened.enter_context(pa.OSFile(str(path)))))
                for path in sorted(folder.glob("*.arrow"))
            ]
            self._opened = opened.pop_all()
        self.fields = [
            self._streams[-1].schema.field(name).with_metadata({"description": description(clean)})
            for name in clean.derived_columns
        ]

    def __iter__(self) -> Iterator[tuple[np.ndarray, list[pa.Array]]]:
        """Yield for each staged batch the mask of dropped rows and the columns of `fields`."""
        for stream in self._streams:
            for batch in stream:
                dropped = batch[DROPPED].to_numpy(zero_copy_only=False)
                yield dropped, [batch[field.name].cast(field.type) for field in self.fields]

    def close(self) -> None:
        """Close the files."""
        self._opened.close()


def description(clean: CleanMonth) -> str:
    """Return the catalog description of a column that the transform added."""
    return f"Added by the transform {clean.transform}()."
