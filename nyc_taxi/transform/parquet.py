"""Write a judged month as Parquet: trips, quarantine and quality, with a manifest.

The output is deterministic: the same source file, rules and library versions give the same bytes. The
folder is named after the month's version; each file is renamed into place once complete, the manifest last.
Without its manifest a month does not exist.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import TaxiError
from nyc_taxi.files import digest
from nyc_taxi.lake.layout import FILES
from nyc_taxi.lake.versions import write_manifest
from nyc_taxi.model.references import CleanMonth, LakeObject, MonthFiles
from nyc_taxi.schema import QUARANTINE, SCHEMA_VERSION
from nyc_taxi.schema.arrow import arrow_schema
from nyc_taxi.transform.judged import judged_batches, trips_schema
from nyc_taxi.transform.quality import QualityReport
from nyc_taxi.transform.rules import Rules

ROW_GROUP_ROWS = 131_072
"""Rows per row group: enough to compress well, few enough for parallel reads in little memory."""

DROPPED_GROUP_ROWS = 16_384
"""Rows per row group of the quarantine of a transform, which may drop millions of trips as JSON text."""


def write_month(clean: CleanMonth, rules: Rules, folder: Path) -> MonthFiles:
    """Write the month's files to `folder`; raises TaxiError if trips + quarantined differs from rows_in."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = f".{uuid.uuid4().hex[:8]}.part"
    parts = {name: folder / f".{name}{mark}" for name in FILES}
    try:
        _write_files(clean, rules, parts)
        objects = {
            name: LakeObject(digest(path, "sha256"), path.stat().st_size) for name, path in parts.items()
        }
        values = {name: getattr(clean, name) for name in clean.__dataclass_fields__}
        files = MonthFiles(**{**values, "local": folder}, objects=objects)
        for name in FILES:
            parts[name].replace(folder / name)
        write_manifest(files, folder)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return files


def _write_files(clean: CleanMonth, rules: Rules, parts: dict[str, Path]) -> None:
    quality = QualityReport(clean)
    counted = {"trips.parquet": 0, "quarantine.parquet": 0}
    metadata = {
        "service": str(clean.service),
        "month": str(clean.month),
        "source_sha256": clean.source.sha256,
        "version": clean.version,
        "schema_version": str(SCHEMA_VERSION),
    }
    quarantine_schema = arrow_schema(QUARANTINE).with_metadata(metadata)
    group_rows = DROPPED_GROUP_ROWS if clean.transform else None
    with (
        _Writer(parts["trips.parquet"], trips_schema(clean).with_metadata(metadata)) as trips,
        _Writer(parts["quarantine.parquet"], quarantine_schema, group_rows) as quarantine,
    ):
        for good, bad in judged_batches(clean, rules):
            trips.write(good)
            quarantine.write(bad)
            quality.add(good)
            counted["trips.parquet"] += len(good)
            counted["quarantine.parquet"] += len(bad)
            del good, bad  # free memory before the next batches
    written = (counted["trips.parquet"], counted["quarantine.parquet"])
    if written != (clean.trips, clean.rows_quarantined) or sum(written) != clean.rows_in:
        raise TaxiError(
            f"{clean.service} {clean.month}: {clean.rows_in:,} rows came in, but {written[0]:,} trips and"
            f" {written[1]:,} quarantined rows went out; nothing was written. Please report this."
        )
    pq.write_table(
        quality.table().replace_schema_metadata(metadata), parts["quality.parquet"], compression="zstd"
    )


GROUP_BYTES = 128 << 20
"""Maximum bytes to buffer; only rows above a kilobyte give smaller row groups."""


class _Writer:
    """A Parquet writer with row groups of constant size, regardless of batch sizes."""

    def __init__(self, path: Path, schema: pa.Schema, group_rows: int | None = None) -> None:
        self._schema = schema
        self._group_rows = group_rows or ROW_GROUP_ROWS
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[_leaf_path(field) for field in schema if _repeats_itself(field)],
            version="2.6",
        )
        self._held: list[pa.RecordBatch] = []
        self._rows = 0
        self._bytes = 0

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self._held:
            self._writer.write_table(pa.Table.from_batches(self._held, self._schema))
        self._writer.close()

    def write(self, batch: pa.RecordBatch) -> None:
        self._held.append(batch.replace_schema_metadata(self._schema.metadata))
        self._rows += len(batch)
        self._bytes += batch.nbytes
        if self._rows >= self._group_rows or self._bytes > GROUP_BYTES:
            table = pa.Table.from_batches(self._held, self._schema)
            whole = self._rows - self._rows % self._group_rows or self._rows
            self._writer.write_table(table.slice(0, whole), row_group_size=self._group_rows)
            self._held = table.slice(whole).to_batches()
            self._rows -= whole
            self._bytes = sum(rest.nbytes for rest in self._held)


def _repeats_itself(field: pa.Field) -> bool:
    """Return whether dictionary encoding pays off, unlike for nearly distinct values (times, row numbers)."""
    return not pa.types.is_timestamp(field.type) and not field.name.endswith("source_row")


def _leaf_path(field: pa.Field) -> str:
    return f"{field.name}.list.element" if pa.types.is_list(field.type) else str(field.name)
