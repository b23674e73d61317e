"""What a transform made of a cleaned month, on scratch storage beside its rows.

A batch for each staged batch, as long as that: which rows were dropped, and the new columns, null for rows
that are not trips. A column has no type until a batch has values in it; then another file begins.
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
    """Where the result of one version of the transform is, within the folder of the cleaned month."""
    return clean / f"derived-{version}"


class DerivedWriter:
    """Writes the batches in the order of the month."""

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
    """The written batches, open: whoever deletes the files then takes nothing away.

    Raises FileNotFoundError when they are gone.
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
        """For each staged batch, which rows were dropped, and the columns of `fields`."""
        for stream in self._streams:
            for batch in stream:
                dropped = batch[DROPPED].to_numpy(zero_copy_only=False)
                yield dropped, [batch[field.name].cast(field.type) for field in self.fields]

    def close(self) -> None:
        """Close the files."""
        self._opened.close()


def description(clean: CleanMonth) -> str:
    """What catalogues say of a column that the transform added."""
    return f"Added by the transform {clean.transform}()."
