"""A judged month as Parquet: trips, quarantine, quality, and a manifest that names them.

Deterministic: the same source file, rules and library versions give the same bytes. The folder is
named by the month's version, each file appears under its name only when it is whole, and the
manifest comes last: without it the month is not there.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import TaxiError
from nyc_taxi.match import VERDICT_SCHEMA, SortedCursor
from nyc_taxi.quality import QualityReport
from nyc_taxi.read import as_json
from nyc_taxi.reference import CleanMonth, MonthFiles
from nyc_taxi.rules import Rules
from nyc_taxi.schema import ARROW_TYPES, QUARANTINE, SCHEMA_VERSION, arrow_schema, trip_columns

ROW_GROUP_ROWS = 131_072
"""Large enough to compress well, small enough to be read by several threads and in little memory."""

MANIFEST = "manifest.json"
FILES = ("trips.parquet", "quarantine.parquet", "quality.parquet")


def write_month(clean: CleanMonth, rules: Rules, folder: Path) -> MonthFiles:
    """Write the month's files into `folder`; raises TaxiError when trips + quarantined is not rows_in."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = f".{uuid.uuid4().hex[:8]}.part"
    parts = {name: folder / f".{name}{mark}" for name in (*FILES, MANIFEST)}
    try:
        _write_files(clean, rules, parts)
        sha256 = {name: _sha256(parts[name]) for name in FILES}
        values = {**{name: getattr(clean, name) for name in clean.__dataclass_fields__}, "folder": folder}
        files = MonthFiles(**values, sha256=sha256)
        parts[MANIFEST].write_text(json.dumps(manifest(files), indent=2) + "\n", encoding="utf-8")
        for name in (*FILES, MANIFEST):
            parts[name].replace(folder / name)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return files


def read_month(folder: Path) -> MonthFiles | None:
    """The month that a folder holds; None when it holds no whole one."""
    try:
        plain = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = MonthFiles.from_dict({**plain, "folder": folder})
    except (OSError, ValueError, TypeError, KeyError):  # not there, or of another version of this package
        return None
    return files if all((folder / name).exists() for name in FILES) else None


def manifest(files: MonthFiles) -> dict[str, Any]:
    """What the manifest says: the reference without the folder, which may be copied elsewhere."""
    return {name: value for name, value in files.to_dict().items() if name != "folder"}


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
    with (
        _Writer(parts["trips.parquet"], _trips_schema(clean).with_metadata(metadata)) as trips,
        _Writer(parts["quarantine.parquet"], arrow_schema(QUARANTINE).with_metadata(metadata)) as quarantine,
    ):
        for good, bad in judged_batches(clean, rules):
            trips.write(good)
            quarantine.write(bad)
            quality.add(good)
            counted["trips.parquet"] += len(good)
            counted["quarantine.parquet"] += len(bad)
    found = (counted["trips.parquet"], counted["quarantine.parquet"])
    if found != (clean.trips, clean.rows_quarantined) or sum(found) != clean.rows_in:
        raise TaxiError(
            f"{clean.service} {clean.month}: {clean.rows_in:,} rows came in, but {found[0]:,} trips and"
            f" {found[1]:,} quarantined rows went out; nothing was written. Please report this."
        )
    pq.write_table(
        quality.table().replace_schema_metadata(metadata), parts["quality.parquet"], compression="zstd"
    )


def judged_batches(clean: CleanMonth, rules: Rules) -> Generator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """The staged month with its final verdicts: batches of trips and of quarantined rows."""
    schema = _trips_schema(clean)
    with (
        pa.OSFile(str(clean.folder / "rows.arrow")) as file,
        pa.ipc.open_stream(file) as staged,
        pa.OSFile(str(clean.folder / "unreadable.arrow")) as other,
        pa.ipc.open_stream(other) as unreadable_rows,
        pq.ParquetFile(clean.folder / "matches.parquet") as matched,
    ):
        matches = SortedCursor(matched.iter_batches(), VERDICT_SCHEMA)
        unreadable = SortedCursor(unreadable_rows, arrow_schema(QUARANTINE))
        for batch in staged:
            if not len(batch):
                continue
            numbers = batch["source_row"].to_numpy()
            last = int(numbers[-1])
            reasons, flags, other_rows = _verdicts(batch, numbers, matches.up_to(last))
            keep = reasons == 0
            good = batch if keep.all() else batch.filter(pa.array(keep))
            bad = batch.filter(pa.array(~keep)) if not keep.all() else batch.slice(0, 0)
            judged = _quarantine(bad, reasons[~keep], rules, clean)
            yield (
                _trips(good, flags[keep], other_rows[keep], rules, clean, schema),
                _merge(judged, unreadable.up_to(last)),
            )
        rest = unreadable.up_to(np.iinfo(np.int64).max)
        if len(rest):
            yield pa.RecordBatch.from_pylist([], schema), rest


def _verdicts(batch: pa.RecordBatch, numbers: np.ndarray, matches: pa.RecordBatch) -> tuple[np.ndarray, ...]:
    reasons, flags = batch["_reasons"].to_numpy().copy(), batch["_flags"].to_numpy().copy()
    other_rows = np.zeros(len(batch), np.int64)  # 0 is no row: they count from 1
    if len(matches):
        places = np.searchsorted(numbers, matches["source_row"].to_numpy())
        reasons[places] |= matches["reasons"].to_numpy()
        flags[places] |= matches["flags"].to_numpy()
        other_rows[places] = matches["other_row"].fill_null(0).to_numpy()
    return reasons, flags, other_rows


def _trips_schema(clean: CleanMonth) -> pa.Schema:
    """Canonical columns, address and verdict; behind them the file's unknown columns."""
    with pa.OSFile(str(clean.folder / "rows.arrow")) as file, pa.ipc.open_stream(file) as staged:
        extra = [staged.schema.field(name) for name in clean.unknown_columns]
    return arrow_schema(trip_columns(clean.service), extra)


def _trips(
    good: pa.RecordBatch,
    flags: np.ndarray,
    other_rows: np.ndarray,
    rules: Rules,
    clean: CleanMonth,
    schema: pa.Schema,
) -> pa.RecordBatch:
    made = {
        "source_version": _repeated(clean.source.version, len(good)),
        "flags": _name_lists(flags, rules, "flag"),
        "reversal_source_row": pa.array(other_rows, mask=other_rows == 0),
    }
    arrays = []
    for field in schema:
        if field.name in made:
            arrays.append(made[field.name])
        elif field.name in good.schema.names:
            arrays.append(good[field.name])
        else:
            arrays.append(pa.nulls(len(good), field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _quarantine(bad: pa.RecordBatch, reasons: np.ndarray, rules: Rules, clean: CleanMonth) -> pa.RecordBatch:
    names = [name for name in bad.schema.names if name not in ("source_row", "_reasons", "_flags")]
    raw = [
        as_json({name: value for name, value in row.items() if value is not None})
        for row in bad.select(names).to_pylist()
    ]
    why = {rule.name: rule.why for rule in rules.rules}
    details = [why[rules.names(mask, "quarantine")[0]] for mask in reasons.tolist()]
    arrays = [
        _repeated(clean.source.version, len(bad)),
        bad["source_row"],
        _name_lists(reasons, rules, "quarantine"),
        pa.nulls(len(bad), pa.string()),
        pa.array(details, pa.string()),
        pa.array(raw, pa.string()),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(QUARANTINE))


def _merge(one: pa.RecordBatch, other: pa.RecordBatch) -> pa.RecordBatch:
    """Both, by source_row."""
    if not len(one) or not len(other):
        return one if len(one) else other
    both = pa.concat_batches([one, other])
    return both.take(pa.array(np.argsort(both["source_row"].to_numpy(), kind="stable")))


def _name_lists(masks: np.ndarray, rules: Rules, action: str) -> pa.Array:
    """A list of rule names per verdict; few verdicts are distinct, so each list is made once."""
    marked = np.flatnonzero(masks)  # most rows have an empty verdict
    distinct, places = np.unique(masks[marked], return_inverse=True)
    lists = [[], *(rules.names(mask, action) for mask in distinct.tolist())]
    chosen = np.zeros(len(masks), np.int64)
    chosen[marked] = places + 1
    return pa.array(lists, ARROW_TYPES["strings"]).take(pa.array(chosen))


def _repeated(text: str, count: int) -> pa.Array:
    return pa.array([text]).take(pa.array(np.zeros(count, np.int64)))


class _Writer:
    """Parquet in row groups of one size, whatever the sizes of the batches."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[_leaf(field) for field in schema if _repeats_itself(field)],
            version="2.6",
        )
        self._held: list[pa.RecordBatch] = []
        self._rows = 0

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self._held:
            self._writer.write_table(pa.Table.from_batches(self._held, self._schema))
        self._writer.close()

    def write(self, batch: pa.RecordBatch) -> None:
        self._held.append(batch.replace_schema_metadata(self._schema.metadata))
        self._rows += len(batch)
        if self._rows >= ROW_GROUP_ROWS:
            table = pa.Table.from_batches(self._held, self._schema)
            whole = self._rows - self._rows % ROW_GROUP_ROWS
            self._writer.write_table(table.slice(0, whole), row_group_size=ROW_GROUP_ROWS)
            self._held = table.slice(whole).to_batches()
            self._rows -= whole


def _repeats_itself(field: pa.Field) -> bool:
    """Whether a dictionary pays: not where nearly every value is another (times, row numbers)."""
    return not pa.types.is_timestamp(field.type) and not field.name.endswith("source_row")


def _leaf(field: pa.Field) -> str:
    return f"{field.name}.list.element" if pa.types.is_list(field.type) else str(field.name)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
