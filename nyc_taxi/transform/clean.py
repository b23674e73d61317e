"""Cleaning: read and judge every row of a month once, in parallel and in bounded memory.

The result is staged on scratch storage: `rows.arrow` holds the readable rows in canonical columns, each
with two bit masks of the rules that quarantine and that flag it; `unreadable.arrow` holds the rows that do
not parse; `matches.parquet` holds the matches of the month rules. Several threads parse and judge blocks,
which are written in file order.
"""

from __future__ import annotations

import shutil
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from nyc_taxi.errors import NotTripData, RuleError, first_line
from nyc_taxi.model.references import CleanMonth, SourceFile
from nyc_taxi.schema.sql import literal
from nyc_taxi.transform.condition import sandbox
from nyc_taxi.transform.match import match_rows
from nyc_taxi.transform.read import UNREADABLE, Chunk, Reader, open_month
from nyc_taxi.transform.rules import ZONE_FLAG, Rules
from nyc_taxi.transform.stage import Stage
from nyc_taxi.transform.version import month_version
from nyc_taxi.transform.zones import assign_zones, assigned_columns

MANY_UNREADABLE = 100_000
"""Number of unreadable rows beyond which a file is refused before its end if they are the greater part."""

Progress = Callable[[int], None]
"""Called with the number of rows read so far."""


def clean_month(
    source: SourceFile,
    rules: Rules,
    folder: Path,
    *,
    threads: int,
    max_unreadable: float,
    progress: Progress | None = None,
) -> CleanMonth:
    """Read and judge a month into the scratch `folder`, which is created atomically.

    If the file system cannot rename folders, the month stays in another folder, which the result names.

    Raises NotTripData if more than `max_unreadable` of the rows do not parse, SchemaError if a required
    column is missing.
    """
    building = folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:8]}.part")
    building.mkdir(parents=True)
    try:
        reader = assign_zones(open_month(source), source)
        counts = _Counts(source, rules, max_unreadable)
        with Stage(building, reader, source, rules) as stage:
            for chunk, verdict in _judged(reader, rules, source, threads):
                counts.add(chunk, verdict)
                stage.write(chunk, verdict)
                if progress:
                    progress(counts.rows_in)
        counts.check(final=True)
        counts.add_matches(match_rows(building, rules, reader.mapping, stage.keys, threads), building)
        stage.keys.remove()
        (building / "candidates.parquet").unlink()
        try:
            if not folder.exists():
                building.rename(folder)
        except OSError:
            folder = building
    finally:
        if folder != building:
            shutil.rmtree(building, ignore_errors=True)
    return CleanMonth(
        source.service,
        source.month,
        source=source,
        local=folder,
        version=month_version(source, rules),
        rows_in=counts.rows_in,
        trips=counts.rows_in - sum(counts.quarantined.values()),
        quarantined=counts.in_order("quarantine"),
        flagged=counts.in_order("flag"),
        unknown_columns=list(reader.mapping.unknown),
        rules=rules.fingerprint,
    )


def _judged(
    reader: Reader, rules: Rules, source: SourceFile, threads: int
) -> Iterator[tuple[Chunk, pa.Table]]:
    """Parse and judge blocks on several threads, and yield them in file order."""
    local = threading.local()
    query = rules.verdict_sql(source.month, reader.mapping.absent, assigned_columns(reader))

    def work(block: Any) -> tuple[Chunk, pa.Table]:
        if not hasattr(local, "connection"):
            local.connection = sandbox()
        chunk = reader.parse(block)
        batch = pa.RecordBatchReader.from_batches(chunk.batch.schema, [chunk.batch])
        local.connection.register("batch", batch)  # a reader avoids the scanner used for tables
        try:
            verdict = local.connection.execute(query).to_arrow_table()
        except duckdb.Error as error:
            raise _rule_error(error, chunk.batch, rules, source, reader) from error
        local.connection.unregister("batch")
        return chunk, verdict

    waiting: deque[Future[tuple[Chunk, pa.Table]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="clean") as pool:
        try:
            in_flight = 0  # the first block runs alone: a file that does not parse fails early
            for block in reader.blocks():
                waiting.append(pool.submit(work, block))
                if len(waiting) > in_flight:
                    yield waiting.popleft().result()
                    in_flight = threads
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _rule_error(
    error: duckdb.Error, batch: pa.RecordBatch, rules: Rules, source: SourceFile, reader: Reader
) -> RuleError:
    """Return an error naming the rule whose condition fails on a batch."""
    failing = "a rule"
    with sandbox() as connection:
        connection.register("batch", batch)
        for rule in rules.rules:
            try:
                alone = Rules(rules.service, (rule,)).verdict_sql(source.month, reader.mapping.absent)
                connection.execute(alone).fetchall()
            except duckdb.Error:
                failing = f"rule {rule.name!r}"
                break
    return RuleError(
        f"{failing} fails on rows of {source.name} ({first_line(error)}):"
        " change its condition in the rules (TAXI_RULES); TRY_CAST converts what can be converted."
    )


class _Counts:
    """Counts of rows by verdict; raises if most rows of the file do not parse."""

    def __init__(self, source: SourceFile, rules: Rules, max_unreadable: float) -> None:
        self._source = source
        self._rules = rules
        self._max_unreadable = max_unreadable
        self._example = ""
        self.rows_in = 0
        self.quarantined: Counter[str] = Counter()
        self.flagged: Counter[str] = Counter()

    def add(self, chunk: Chunk, verdict: pa.Table) -> None:
        self.rows_in += chunk.rows_in
        if chunk.unreadable:
            self._example = self._example or chunk.unreadable[0].detail
            self.quarantined[UNREADABLE] += len(chunk.unreadable)
            self.check(final=False)
        reasons, flags = (verdict[name].to_numpy() for name in ("_reasons", "_flags"))
        self._count(reasons, flags, 1)

    def add_matches(self, matches: Path, folder: Path) -> None:
        """Count the matches of the month rules; a row that they quarantine no longer counts as flagged."""
        with duckdb.connect() as connection:
            rows = connection.execute(
                "SELECT m.reasons, m.flags, c._flags, count(*)::BIGINT"
                f" FROM read_parquet({literal(str(matches))}) m"
                f" JOIN read_parquet({literal(str(folder / 'candidates.parquet'))}) c USING (source_row)"
                " GROUP BY ALL"
            ).fetchall()
        for reasons, flags, earlier, count in rows:
            if reasons:
                self._count(np.array([0]), np.array([earlier]), -count)
            self._count(np.array([reasons]), np.array([flags]), count)

    def check(self, *, final: bool) -> None:
        """Refuse a file with too many unreadable rows.

        Before its end, if nearly all rows so far are unreadable, or most of them and MANY_UNREADABLE.
        """
        count = self.quarantined[UNREADABLE]
        early = max(self._max_unreadable, 0.5 if count > MANY_UNREADABLE else 0.9)
        if count / max(self.rows_in, 1) > (self._max_unreadable if final else early):
            unreadable = f"{count:,} of {self.rows_in:,} rows"
            raise NotTripData(
                f"{self._source.name}: {unreadable} cannot be read (the first: {self._example});"
                " the file is damaged or was rewritten by another program."
                " Fetch it from TLC, or raise TAXI_MAX_UNREADABLE to load the rest."
            )
        if final and not self.rows_in:
            raise NotTripData(f"{self._source.name}: has a header but no rows; download the file again.")

    def in_order(self, action: str) -> dict[str, int]:
        """Return the counts above zero, in the order of the rules."""
        counted = self.quarantined if action == "quarantine" else self.flagged
        names = [UNREADABLE, *(rule.name for _, rule in self._rules.of(action)), ZONE_FLAG]
        return {name: counted[name] for name in names if counted[name]}

    def _count(self, reasons: np.ndarray, flags: np.ndarray, weight: int) -> None:
        masks, counts = np.unique(reasons[reasons != 0], return_counts=True)
        for mask, count in zip(masks.tolist(), counts.tolist(), strict=True):
            self.quarantined[self._rules.names(mask, "quarantine")[0]] += count * weight
        masks, counts = np.unique(flags[(reasons == 0) & (flags != 0)], return_counts=True)
        for mask, count in zip(masks.tolist(), counts.tolist(), strict=True):
            for name in self._rules.names(mask, "flag"):
                self.flagged[name] += count * weight
