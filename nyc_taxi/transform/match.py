"""Month rules: find rows of a month that repeat or reverse each other, in bounded memory.

Cleaning writes a 64-bit key per row and month rule (`KeyFiles`). A row with a unique key matches no other.
Keys are sorted part by part to find shared ones; only rows with shared keys are read in full and compared
exactly, so that hash collisions do no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nyc_taxi.errors import NotTripData, RuleError, TaxiError
from nyc_taxi.schema import Mapping
from nyc_taxi.schema.sql import literal
from nyc_taxi.transform.rules import Rule, Rules

PART_KEYS = 1_000_000
"""Keys per sort: 8 MB of keys, 8 MB of positions, and a sorted copy."""

MAX_PART_KEYS = 2 * PART_KEYS
"""Maximum keys of a part; keys spread evenly over the parts unless a million rows share one."""

MAX_SHARED = 1_000_000
"""Maximum rows to compare exactly, or half of the month if that is more."""

MAX_EQUAL = 500_000
"""Rows equal to others of their batch, after which a file of hardly anything else is not read to its end."""

_EQUAL_SAMPLE = 4096
"""Keys of a batch by which the rows equal to others of the batch are estimated."""

_CHUNK_KEYS = 1 << 20
_MEMORY_LIMIT = "128MB"

VERDICT_SCHEMA = pa.schema(
    [("source_row", pa.int64()), ("reasons", pa.int64()), ("flags", pa.int64()), ("other_row", pa.int64())]
)
"""One row per matched source row, ascending: bits to add to its verdict, and the row it matches."""


class KeyFiles:
    """The keys of a month on scratch storage: a file of 64-bit integers per month rule, 0 for no key."""

    def __init__(self, folder: Path, rules: Rules, source: str) -> None:
        self._source = source
        self._rules = dict(rules.month_rules())
        self._paths = {bit: folder / f"keys_{bit}.u64" for bit, _ in rules.month_rules()}
        self._files = {bit: path.open("wb") for bit, path in self._paths.items()}
        self._rows = 0
        self._equal = dict.fromkeys(filter(self._finds_equal_rows, self._rules), 0)

    def write(self, verdict: pa.RecordBatch | pa.Table) -> None:
        """Append the `_key_<bit>` columns of a batch's verdict; raises NotTripData for equal rows only."""
        self._rows += len(verdict)
        for bit, file in self._files.items():
            keys = verdict[f"_key_{bit}"]
            file.write(keys.fill_null(0).to_numpy().tobytes())
            if bit in self._equal:
                self._equal[bit] += _estimate_equal(keys)
                if self._equal[bit] > max(MAX_EQUAL, 0.9 * self._rows):
                    raise _too_many(self._source, self._rules[bit])

    def close(self) -> None:
        """Flush all keys to disk."""
        for file in self._files.values():
            file.close()

    def shared_positions(self, threads: int) -> np.ndarray:
        """Return the positions (from 0, ascending) of rows that share a key with another row.

        Raises NotTripData if most of millions of rows are equal, which no real month is, and RuleError if
        they only match under a rule that compares fewer columns or flags equal rows.
        """

        def search(bit: int) -> list[np.ndarray]:
            return list(_shared(self._paths[bit], _too_many(self._source, self._rules[bit])))

        with ThreadPoolExecutor(threads, thread_name_prefix="match") as pool:
            shared = pool.map(search, self._paths)
            positions = list(chain(*shared))
        return np.unique(np.concatenate(positions)) if positions else np.array([], np.int64)

    def too_wide(self) -> NotTripData:
        """Return the error for rows that are alike, and take too much memory to compare."""
        return NotTripData(
            f"{self._source}: too many wide rows are alike to compare them in {_MEMORY_LIMIT}; use the file"
            " as TLC publishes it, or disable rules that compare rows (TAXI_RULES)."
        )

    def _finds_equal_rows(self, bit: int) -> bool:
        rule = self._rules[bit]
        return rule.repeats == ["all"] and rule.action == "quarantine"

    def remove(self) -> None:
        """Delete the files."""
        for path in self._paths.values():
            path.unlink(missing_ok=True)


def _estimate_equal(keys: pa.Array | pa.ChunkedArray) -> int:
    """Estimate how many keys of a batch equal another one; exact for small batches.

    One sample is of rows, to find few keys that most rows have, another of keys, to find many keys that a few
    rows have each.
    """
    step = max(1, len(keys) // _EQUAL_SAMPLE)
    values = keys.drop_null().to_numpy(zero_copy_only=False)
    samples = values[::step], values[values % np.uint64(step) == 0]
    return max(len(sample) - len(np.unique(sample)) for sample in samples) * step


def match_rows(folder: Path, rules: Rules, mapping: Mapping, keys: KeyFiles, threads: int) -> Path:
    """Apply the month rules to `rows.arrow` and return the path of `matches.parquet`.

    Quarantining rules come first: rules that flag ignore the rows they quarantine. Also writes
    `candidates.parquet`, the rows that were compared exactly.
    """
    result, candidates = folder / "matches.parquet", folder / "candidates.parquet"
    _fetch(folder / "rows.arrow", keys.shared_positions(threads), candidates)
    if not rules.month_rules():
        pq.write_table(VERDICT_SCHEMA.empty_table(), result)
        return result
    queries: dict[str, list[str]] = {"quarantine": [], "flag": []}
    for bit, rule in rules.month_rules():
        rows = "candidates" if rule.action == "quarantine" else "kept"
        compared = rules.compared(rule, mapping.unknown)
        sql = _reverses_sql(bit, rule, rows) if rule.reverses else _repeats_sql(bit, rule, rows, compared)
        queries[rule.action].append(sql)
    merged = (
        "SELECT source_row, bit_or(reasons) AS reasons, bit_or(flags) AS flags, min(other_row) AS other_row"
        f" FROM ({' UNION ALL '.join(chain(*queries.values()))}) GROUP BY source_row ORDER BY source_row"
    )
    out = (
        f" ANTI JOIN ({' UNION ALL '.join(queries['quarantine'])}) USING (source_row)"
        if queries["quarantine"]
        else ""
    )
    absent = "".join(f', NULL AS "{name}"' for name in mapping.absent)
    with duckdb.connect() as connection:
        connection.execute(f"SET memory_limit='{_MEMORY_LIMIT}'; SET threads={threads}")
        connection.execute(f"SET temp_directory={literal(str(folder / 'spill'))}")
        connection.execute(
            f"CREATE VIEW candidates AS SELECT *{absent} FROM read_parquet({literal(str(candidates))})"
        )
        connection.execute(f"CREATE VIEW kept AS SELECT * FROM candidates{out}")
        try:
            connection.execute(f"COPY ({merged}) TO {literal(str(result))} (FORMAT parquet)")
        except duckdb.OutOfMemoryException:
            raise keys.too_wide() from None
    return result


class SortedCursor:
    """A cursor over batches sorted by `source_row`, for merge joins."""

    def __init__(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        self._batches = iter(batches)
        self._schema = schema
        self._held: pa.RecordBatch | None = None

    def up_to(self, last: int) -> pa.RecordBatch:
        """Return the next rows up to the source_row `last`."""
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


def _shared(path: Path, too_many: TaxiError) -> Iterator[np.ndarray]:
    """Yield the positions of keys that occur more than once, part by part of the key space.

    Raises `too_many` if they are too many, or if a part has far more keys than the others.
    """
    rows = path.stat().st_size // 8
    parts, shared = max(1, -(-rows // PART_KEYS)), 0
    for part in range(parts):
        kept: list[tuple[np.ndarray, np.ndarray]] = []
        count = 0
        for start, chunk in _chunks(path):
            mine = np.flatnonzero((chunk != 0) & (chunk % np.uint64(parts) == part))
            kept.append((chunk[mine], mine + start))
            count += len(mine)
            if count > MAX_PART_KEYS:
                raise too_many
        if not kept:
            continue
        keys, positions = (np.concatenate(arrays) for arrays in zip(*kept, strict=True))
        kept.clear()
        ordered = np.sort(keys)
        repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        del ordered
        if len(repeated):
            equal = positions[_is_in(keys, repeated)]
            shared += len(equal)
            if shared > max(MAX_SHARED, rows // 2):
                raise too_many
            yield equal


def _too_many(source: str, rule: Rule) -> TaxiError:
    """Return the error for a rule that would compare too many rows exactly."""
    if rule.repeats == ["all"] and rule.action == "quarantine":
        return NotTripData(
            f"{source}: most of its rows are equal to other rows; use the file as TLC publishes it."
        )
    advice = "disable it" if rule.repeats == ["all"] else "add columns to it or disable it"
    return RuleError(f"{source}: rule {rule.name!r} finds most of its rows alike; {advice} (TAXI_RULES).")


def _is_in(keys: np.ndarray, few: np.ndarray) -> np.ndarray:
    """Return which keys are among the few, by a hash table: numpy.isin would sort all keys again."""
    is_in: np.ndarray = pc.is_in(pa.array(keys), value_set=pa.array(few)).to_numpy(zero_copy_only=False)
    return is_in


def _chunks(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    start = 0
    with path.open("rb") as file:
        while len(keys := np.fromfile(file, np.uint64, _CHUNK_KEYS)):
            yield start, keys
            start += len(keys)


def _fetch(rows: Path, positions: np.ndarray, target: Path) -> None:
    """Copy the rows at ascending positions from the staged month to a file."""
    start = 0
    with (
        pa.OSFile(str(rows)) as file,
        pa.ipc.open_stream(file) as stream,
        pq.ParquetWriter(target, stream.schema) as writer,
    ):
        for batch in stream if len(positions) else ():
            first, last = np.searchsorted(positions, (start, start + len(batch)))
            if last > first:
                writer.write_batch(batch.take(pa.array(positions[first:last] - start)))
            start += len(batch)


def _bits(bit: int, rule: Rule) -> str:
    mine, none = f"1::BIGINT << {bit}", "0::BIGINT"
    reasons, flags = (mine, none) if rule.action == "quarantine" else (none, mine)
    return f"{reasons} AS reasons, {flags} AS flags"


def _repeats_sql(bit: int, rule: Rule, rows: str, compared: Iterable[str]) -> str:
    columns = ", ".join(f'"{name}"' for name in compared)
    first = f"SELECT min(source_row) AS source_row FROM {rows} WHERE _reasons = 0 GROUP BY {columns}"
    later = f"(SELECT source_row FROM {rows} WHERE _reasons = 0) ANTI JOIN ({first}) USING (source_row)"
    return f"SELECT source_row, {_bits(bit, rule)}, NULL::BIGINT AS other_row FROM {later}"


def _reverses_sql(bit: int, rule: Rule, rows: str) -> str:
    """Return the query that pairs trips and reversals with the same key, one to one in file order."""
    assert rule.reverses is not None
    same, negated = rule.reverses.same, rule.reverses.negated
    amounts = ", ".join(f'nullif("{name}", 0)' for name in negated)
    side = f"sign(coalesce({amounts}))"  # sign of the first nonzero amount
    key = [f'"{name}"' for name in same] + [f'"{name}" * side' for name in negated]
    columns = ", ".join(f'"{name}"' for name in [*same, *negated])
    sided = f"SELECT source_row, {columns}, {side} AS side FROM {rows} WHERE _reasons = 0"
    nth = f"row_number() OVER (PARTITION BY {', '.join(key)}, side ORDER BY source_row) AS nth"
    numbered = f"SELECT *, {nth} FROM ({sided}) WHERE side IS NOT NULL"
    alike = [f'one."{name}" IS NOT DISTINCT FROM other."{name}"' for name in same]
    alike += [f'one."{name}" IS NOT DISTINCT FROM -other."{name}"' for name in negated]
    return (
        f"SELECT one.source_row, {_bits(bit, rule)}, other.source_row AS other_row"
        f" FROM ({numbered}) AS one JOIN ({numbered}) AS other"
        f" ON one.nth = other.nth AND one.side = -other.side AND {' AND '.join(alike)}"
    )
