"""Month rules: which rows of a month repeat or reverse each other, in bounded memory.

Every row left a 64-bit key per month rule. Rows whose key stands alone can match nothing; DuckDB
finds the others by grouping the keys (it spills to disk beyond its memory limit). The few rows
that remain are fetched whole and compared exactly, so that a collision of keys never matters.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.rules import Rule, Rules
from nyc_taxi.schema import Mapping

MEMORY_LIMIT = "128MB"
VERDICT_SCHEMA = pa.schema(
    [("source_row", pa.int64()), ("reasons", pa.int64()), ("flags", pa.int64()), ("other_row", pa.int64())]
)
"""One row per matched source row, ascending: bits to add to its verdict, and the other half."""


def match_rows(folder: Path, rules: Rules, mapping: Mapping, threads: int) -> Path:
    """Judge the month rules over `keys.parquet` and `rows.arrow`; returns `matches.parquet`."""
    result = folder / "matches.parquet"
    month_rules = rules.month_rules()
    with duckdb.connect() as connection:
        connection.execute(f"SET memory_limit='{MEMORY_LIMIT}'; SET threads={threads}")
        connection.execute(
            f"SET temp_directory={_text(folder / 'spill')}; SET preserve_insertion_order=false"
        )
        connection.execute(f"CREATE VIEW keys AS FROM read_parquet({_text(folder / 'keys.parquet')})")
        shared = [
            f"SELECT source_row FROM keys WHERE _key_{bit} IN"
            f" (SELECT _key_{bit} FROM keys WHERE _key_{bit} IS NOT NULL GROUP BY 1 HAVING count(*) > 1)"
            for bit, _ in month_rules
        ]
        if not shared:
            pq.write_table(VERDICT_SCHEMA.empty_table(), result)
            return result
        wanted = connection.execute(f"{' UNION '.join(shared)} ORDER BY source_row")
        candidates = folder / "candidates.parquet"
        _fetch(folder / "rows.arrow", wanted.to_arrow_reader(65_536), candidates)
        absent = "".join(f', NULL AS "{name}"' for name in mapping.absent)
        connection.execute(
            f"CREATE VIEW candidates AS SELECT *{absent} FROM read_parquet({_text(candidates)})"
        )
        found = [
            _reverses_sql(bit, rule)
            if rule.reverses
            else _repeats_sql(bit, rule, rules.compared(rule, mapping.unknown))
            for bit, rule in month_rules
        ]
        merged = (
            "SELECT source_row, bit_or(reasons) AS reasons, bit_or(flags) AS flags,"
            " min(other_row) AS other_row"
            f" FROM ({' UNION ALL '.join(found)}) GROUP BY source_row ORDER BY source_row"
        )
        connection.execute(f"COPY ({merged}) TO {_text(result)} (FORMAT parquet)")
    return result


def _fetch(rows: Path, wanted: pa.RecordBatchReader, target: Path) -> None:
    """Copy the wanted rows, given by ascending source_row, out of the staged month."""
    cursor = SortedCursor(wanted, wanted.schema)
    with (
        pa.OSFile(str(rows)) as file,
        pa.ipc.open_stream(file) as stream,
        pq.ParquetWriter(target, stream.schema) as writer,
    ):
        for batch in stream:
            numbers = batch["source_row"].to_numpy()
            if not len(numbers):
                continue
            part = cursor.up_to(int(numbers[-1]))
            if len(part):
                places = np.searchsorted(numbers, part["source_row"].to_numpy())
                writer.write_batch(batch.take(pa.array(places)))


class SortedCursor:
    """Walks batches that ascend by `source_row` in step with another such walk."""

    def __init__(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        self._batches = iter(batches)
        self._schema = schema
        self._held: pa.RecordBatch | None = None

    def up_to(self, last: int) -> pa.RecordBatch:
        """The next rows whose source_row is at most `last`."""
        parts = []
        while (held := self._held if self._held is not None else next(self._batches, None)) is not None:
            cut = int(np.searchsorted(held["source_row"].to_numpy(), last, side="right"))
            parts.append(held.slice(0, cut))
            self._held = held.slice(cut) if cut < len(held) else None
            if self._held is not None:
                break
        if len(parts) == 1:
            return parts[0]
        return pa.concat_batches(parts) if parts else pa.RecordBatch.from_pylist([], self._schema)


def _bits(bit: int, rule: Rule) -> str:
    value = f"1::BIGINT << {bit}"
    return (
        f"{value} AS reasons, 0::BIGINT AS flags"
        if rule.action == "quarantine"
        else f"0::BIGINT AS reasons, {value} AS flags"
    )


def _repeats_sql(bit: int, rule: Rule, compared: Iterable[str]) -> str:
    columns = ", ".join(f'"{name}"' for name in compared)
    nth = f"row_number() OVER (PARTITION BY {columns} ORDER BY source_row) AS nth"
    numbered = f"SELECT source_row, {nth} FROM candidates WHERE _reasons = 0"
    return f"SELECT source_row, {_bits(bit, rule)}, NULL::BIGINT AS other_row FROM ({numbered}) WHERE nth > 1"


def _reverses_sql(bit: int, rule: Rule) -> str:
    """Trips and reversals with the same key are paired in the order of the file, one to one."""
    assert rule.reverses is not None
    same, negated = rule.reverses.same, rule.reverses.negated
    amounts = ", ".join(f'nullif("{name}", 0)' for name in negated)
    side = f"sign(coalesce({amounts}))"  # of the first amount that is not zero
    key = [f'"{name}"' for name in same] + [f'"{name}" * side' for name in negated]
    columns = ", ".join(f'"{name}"' for name in [*same, *negated])
    sided = f"SELECT source_row, {columns}, {side} AS side FROM candidates WHERE _reasons = 0"
    nth = f"row_number() OVER (PARTITION BY {', '.join(key)}, side ORDER BY source_row) AS nth"
    numbered = f"SELECT *, {nth} FROM ({sided}) WHERE side IS NOT NULL"
    alike = [f'one."{name}" IS NOT DISTINCT FROM other."{name}"' for name in same]
    alike += [f'one."{name}" IS NOT DISTINCT FROM -other."{name}"' for name in negated]
    return (
        f"SELECT one.source_row, {_bits(bit, rule)}, other.source_row AS other_row"
        f" FROM ({numbered}) AS one JOIN ({numbered}) AS other"
        f" ON one.nth = other.nth AND one.side = -other.side AND {' AND '.join(alike)}"
    )


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
