"""The judged month: the staged rows with their final verdicts, as trips and quarantined rows.

The Parquet and a table loaded meanwhile each read these batches in a separate pass: passes are cheap, and
neither waits for the other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.model.references import CleanMonth, MonthFiles
from nyc_taxi.schema import QUARANTINE, trip_columns
from nyc_taxi.schema.arrow import ARROW_TYPES, arrow_schema
from nyc_taxi.transform.json_rows import json_rows
from nyc_taxi.transform.match import VERDICT_SCHEMA, SortedCursor
from nyc_taxi.transform.rules import BUILT_IN_BIT, Rules
from nyc_taxi.transform.user.staged import DerivedMonth

_COMPUTED = ("source_version", "flags", "reversal_source_row")
"""Trip columns that this module computes from the verdicts."""

Judged = tuple[pa.RecordBatch, np.ndarray, np.ndarray, np.ndarray]
"""Staged rows, with reasons, flags and matched row of each."""

Select = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Maps the `source_row` of staged rows, and whether each is a trip, to the mask of rows to select."""


def staged_trips(
    clean: CleanMonth, rules: Rules, writing: Future[MonthFiles]
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return schema and batches of the trips while their Parquet is being written.

    The rows and their order are those of the Parquet, without the constant `source_version` and without
    columns that the source lacks, which are null. Stops if writing fails. Raises FileNotFoundError at once
    if the staged month no longer exists, because another run has completed its Parquet.
    """
    staged = StagedMonth(clean)
    present = {*staged.rows.schema.names, *clean.derived_columns, *_COMPUTED} - {"source_version"}
    schema = pa.schema([field for field in staged.trips_schema() if field.name in present])

    def kept(judged: Judged) -> pa.RecordBatch:
        if writing.done():
            writing.result()  # raises if writing failed
        batch, reasons, flags, other_rows = judged
        return _trips(batch, reasons == 0, flags, other_rows, rules, clean, schema)

    def batches() -> Iterator[pa.RecordBatch]:
        with staged:
            yield from map(kept, staged.verdicts())

    return schema, batches()


class StagedMonth:
    """The open scratch files of a cleaned month, which stay readable if deleted."""

    def __init__(self, clean: CleanMonth) -> None:
        self._clean = clean
        with ExitStack() as opened:
            self.rows = self._stream(clean.folder / "rows.arrow", opened)
            self.unreadable = self._stream(clean.folder / "unreadable.arrow", opened)
            self._matches = opened.enter_context(pq.ParquetFile(clean.folder / "matches.parquet"))
            self._derived = DerivedMonth(clean) if clean.transform else None
            if self._derived:
                opened.callback(self._derived.close)
            self._opened = opened.pop_all()

    def __enter__(self) -> StagedMonth:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def trips_schema(self) -> pa.Schema:
        """Return the trips' schema: canonical, lineage and flag columns, then unknown and derived columns."""
        extra = [self.rows.schema.field(name) for name in self._clean.unknown_columns]
        extra += self._derived.fields if self._derived else []
        return arrow_schema(trip_columns(self._clean.service), extra)

    def verdicts(self) -> Iterator[Judged]:
        """Yield the rows with their final verdicts and derived columns, batch by batch."""
        matches = SortedCursor(self._matches.iter_batches(), VERDICT_SCHEMA)

        def judged(batch: pa.RecordBatch) -> Judged:
            numbers = batch["source_row"].to_numpy()
            return batch, *_verdicts(batch, numbers, matches.up_to(int(numbers[-1])))

        rows = map(judged, filter(len, self.rows))  # holds no batch while the next one is read
        return map(self._with_derived, zip(rows, self._derived, strict=True)) if self._derived else rows

    def _with_derived(self, both: tuple[Judged, tuple[np.ndarray, list[pa.Array]]]) -> Judged:
        assert self._derived
        (batch, reasons, flags, other_rows), (dropped, columns) = both
        reasons[dropped] |= 1 << BUILT_IN_BIT
        schema = pa.schema([*batch.schema, *self._derived.fields])
        whole = pa.RecordBatch.from_arrays([*batch.columns, *columns], schema=schema)
        return whole, reasons, flags, other_rows

    @staticmethod
    def _stream(path: Path, opened: ExitStack) -> pa.RecordBatchReader:
        return opened.enter_context(pa.ipc.open_stream(opened.enter_context(pa.OSFile(str(path)))))


def judged_batches(
    clean: CleanMonth, rules: Rules, select: Select | None = None
) -> Generator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Yield batches of trips and of quarantined rows of a staged month.

    With `select`, yields only the selected readable rows, and all unreadable ones.
    """
    rules = replace(rules, transform=clean.transform)
    with StagedMonth(clean) as staged:
        schema = staged.trips_schema()
        unreadable = SortedCursor(staged.unreadable, arrow_schema(QUARANTINE))

        def both(judged: Judged) -> tuple[pa.RecordBatch, pa.RecordBatch]:
            last = int(judged[0]["source_row"][-1].as_py())
            batch, reasons, flags, other_rows = _selected(judged, select) if select else judged
            keep = reasons == 0
            bad = batch.filter(pa.array(~keep)) if not keep.all() else batch.slice(0, 0)
            return (
                _trips(batch, keep, flags, other_rows, rules, clean, schema),
                _merge(
                    _quarantine(bad, reasons[~keep], rules, clean),
                    unreadable.up_to(last),
                ),
            )

        yield from map(both, staged.verdicts())
        rest = unreadable.up_to(np.iinfo(np.int64).max)
        if len(rest):
            yield pa.RecordBatch.from_pylist([], schema), rest


def _selected(judged: Judged, select: Select) -> Judged:
    batch, reasons, flags, other_rows = judged
    places = np.flatnonzero(select(batch["source_row"].to_numpy(), reasons == 0))
    return batch.take(pa.array(places)), reasons[places], flags[places], other_rows[places]


def _verdicts(batch: pa.RecordBatch, numbers: np.ndarray, matches: pa.RecordBatch) -> tuple[np.ndarray, ...]:
    reasons, flags = batch["_reasons"].to_numpy().copy(), batch["_flags"].to_numpy().copy()
    other_rows = np.zeros(len(batch), np.int64)  # 0 means none: rows count from 1
    if len(matches):
        places = np.searchsorted(numbers, matches["source_row"].to_numpy())
        reasons[places] |= matches["reasons"].to_numpy()
        flags[places] |= matches["flags"].to_numpy()
        other_rows[places] = matches["other_row"].fill_null(0).to_numpy()
    return reasons, flags, other_rows


def trips_schema(clean: CleanMonth) -> pa.Schema:
    """Return the schema of the batches of trips."""
    with StagedMonth(clean) as staged:
        return staged.trips_schema()


def _trips(
    batch: pa.RecordBatch,
    keep: np.ndarray,
    flags: np.ndarray,
    other_rows: np.ndarray,
    rules: Rules,
    clean: CleanMonth,
    schema: pa.Schema,
) -> pa.RecordBatch:
    """Return the kept rows of a batch, with the columns of `schema`."""
    if keep.all():
        good = batch
    else:
        good, flags, other_rows = batch.filter(pa.array(keep)), flags[keep], other_rows[keep]
    arrays = []
    for field in schema:
        if field.name == "source_version":
            arrays.append(_repeated(clean.source.version, len(good)))
        elif field.name == "flags":
            arrays.append(_name_lists(flags, rules, "flag"))
        elif field.name == "reversal_source_row":
            arrays.append(pa.array(other_rows, mask=other_rows == 0))
        elif field.name in good.schema.names:
            arrays.append(good[field.name])
        else:
            arrays.append(pa.nulls(len(good), field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _quarantine(bad: pa.RecordBatch, reasons: np.ndarray, rules: Rules, clean: CleanMonth) -> pa.RecordBatch:
    names = [name for name in bad.schema.names if name not in ("source_row", "_reasons", "_flags")]
    why = {rule.name: rule.why for rule in rules.rules}
    why[rules.transform] = f"Dropped by the transform {rules.transform}()."
    details = [why[rules.names(mask, "quarantine")[0]] for mask in reasons.tolist()]
    arrays = [
        _repeated(clean.source.version, len(bad)),
        bad["source_row"],
        _name_lists(reasons, rules, "quarantine"),
        pa.nulls(len(bad), pa.string()),
        pa.array(details, pa.string()),
        json_rows(bad.select(names)),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(QUARANTINE))


def _merge(one: pa.RecordBatch, other: pa.RecordBatch) -> pa.RecordBatch:
    """Both, by source_row."""
    if not len(one) or not len(other):
        return one if len(one) else other
    both = pa.concat_batches([one, other])
    return both.take(pa.array(np.argsort(both["source_row"].to_numpy(), kind="stable")))


def _name_lists(masks: np.ndarray, rules: Rules, action: str) -> pa.Array:
    """Return a list of rule names per verdict; builds each distinct list once."""
    encoded = pa.array(masks).dictionary_encode()
    lists = [rules.names(mask, action) for mask in encoded.dictionary.to_pylist()]
    return pa.array(lists, ARROW_TYPES["strings"]).take(encoded.indices)


def _repeated(text: str, count: int) -> pa.Array:
    return pa.array([text]).take(pa.array(np.zeros(count, np.int64)))
