"""Write the scratch files of a month being cleaned, batch by batch in file order."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from nyc_taxi.model.references import SourceFile
from nyc_taxi.schema import QUARANTINE
from nyc_taxi.schema.arrow import arrow_schema
from nyc_taxi.transform.match import KeyFiles
from nyc_taxi.transform.read import UNREADABLE, Chunk, Reader
from nyc_taxi.transform.rules import Rules

_VERDICT = [(name, pa.int64()) for name in ("source_row", "_reasons", "_flags")]


class Stage:
    """Writes `rows.arrow` (readable rows), `unreadable.arrow` and the key files."""

    def __init__(self, folder: Path, reader: Reader, source: SourceFile, rules: Rules) -> None:
        self._source = source
        # omits columns that the file lacks
        self._columns = [name for name in reader.schema.names if name not in reader.mapping.absent]
        self._schema = pa.schema([*(reader.schema.field(name) for name in self._columns), *_VERDICT])
        self._next_row = 1
        with ExitStack() as opened:
            self._rows = _stream(folder / "rows.arrow", self._schema, opened)
            self._unreadable = _stream(folder / "unreadable.arrow", arrow_schema(QUARANTINE), opened)
            self.keys = KeyFiles(folder, rules, source.name)
            opened.callback(self.keys.close)
            self._opened = opened.pop_all()

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def write(self, chunk: Chunk, verdict: pa.Table) -> None:
        """Append a judged block, numbering its rows."""
        verdict = verdict.combine_chunks()
        numbers = pa.array(chunk.rows + self._next_row)
        masks = [verdict[name].combine_chunks() for name in ("_reasons", "_flags")]
        arrays = [*(chunk.batch[name] for name in self._columns), numbers, *masks]
        self._rows.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self.keys.write(verdict)
        if chunk.unreadable:
            self._unreadable.write_batch(self._unreadable_batch(chunk))
        self._next_row += chunk.rows_in

    def _unreadable_batch(self, chunk: Chunk) -> pa.RecordBatch:
        rows, count = chunk.unreadable, len(chunk.unreadable)
        columns = {
            "source_version": [self._source.version] * count,
            "source_row": [item.row + self._next_row for item in rows],
            "reasons": [[UNREADABLE]] * count,
            "column_name": [item.column for item in rows],
            "detail": [item.detail for item in rows],
            "raw": [item.raw for item in rows],
        }
        return pa.RecordBatch.from_pydict(columns, arrow_schema(QUARANTINE))


def _stream(path: Path, schema: pa.Schema, opened: ExitStack) -> pa.RecordBatchStreamWriter:
    """Open a file and a writer that are closed together; a writer opened by path never closes the file."""
    file = opened.enter_context(pa.OSFile(str(path), "wb"))
    return opened.enter_context(pa.ipc.new_stream(file, schema))
