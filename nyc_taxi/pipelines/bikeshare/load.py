"""Load a day from the bucket into the raw tables and the ledger, in one transaction."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import itertools
import json
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import NotTripData, SchemaError
from nyc_taxi.load.warehouse.engine import Assertion, Engine, Statement, retry_load
from nyc_taxi.model.run import Run
from nyc_taxi.pipelines.bikeshare import bucket, ledger
from nyc_taxi.pipelines.bikeshare.bucket import Landed
from nyc_taxi.pipelines.bikeshare.checks import check_day
from nyc_taxi.pipelines.bikeshare.config import BikeshareConfig
from nyc_taxi.pipelines.bikeshare.derived import DATE, LEDGER
from nyc_taxi.pipelines.bikeshare.export_csv import export_rows
from nyc_taxi.pipelines.bikeshare.files import json_rows, unpacked, write_parquet
from nyc_taxi.pipelines.bikeshare.ledger import Entry
from nyc_taxi.pipelines.bikeshare.tables import RawTable
from nyc_taxi.retry import RetryPolicy
from nyc_taxi.schema.tables import Table

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Part:
    """A table's rows of the day, ready to load."""

    table: RawTable
    path: Path
    rows: int
    source: str
    version: str


def warehouse_table(table: RawTable) -> Table:
    """Return a raw table's definition in the warehouse: the day, followed by the columns."""
    clustering = ("start_station_id",) if table.name == "trips" else ()  # the usual filter within a day
    return Table(table.raw_name, table.description, (DATE,), table.columns, clustering)


def load_day(config: BikeshareConfig, warehouse: Engine, day: dt.date, run: Run) -> list[Entry]:
    """Replace the day's partition of every raw table by the bucket's content; returns the ledger entries.

    Does nothing if the tables already hold these objects. Raises NotPublished if a table's objects of the
    day are missing, SchemaError or NotTripData if they cannot be read, SourceError if a check refuses them;
    the tables are then unchanged.
    """
    started = dt.datetime.now(dt.UTC)
    objects = {table: bucket.fetch(config, table, day) for table in config.tables}
    versions = {table.raw_name: _version(config, table, landed) for table, landed in objects.items()}

    def load() -> list[Entry]:
        recorded = ledger.by_table(ledger.entries(warehouse), day)
        if all(name in recorded and recorded[name].version == version for name, version in versions.items()):
            log.info("The warehouse already holds the raw tables of %s.", day)
            return [recorded[name] for name in versions]
        scratch = config.folder / "load"
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{day}-", dir=scratch) as folder:
            parts = [
                _part(config, table, landed, Path(folder), versions[table.raw_name])
                for table, landed in objects.items()
            ]
            counts = check_day(day, {part.table: part.path for part in parts})
            entries = [_entry(part, day, counts[part.table.name], started, run) for part in parts]
            _replace(warehouse, day, parts, entries, run)
        return entries

    return retry_load(RetryPolicy.of(config.settings), load)


def _version(config: BikeshareConfig, table: RawTable, objects: list[Landed]) -> str:
    """Return an identifier of the content: the objects and how they are read."""
    parts = [str(table.schema), config.settings.bikeshare_escape, *(landed.sha256 for landed in objects)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _part(
    config: BikeshareConfig, table: RawTable, objects: list[Landed], folder: Path, version: str
) -> _Part:
    path = folder / f"{table.name}.parquet"
    sources = [config.uri(landed.key) for landed in objects]
    if table.origin != "daily" and objects[0].key.endswith(".parquet"):
        count = _copy(table, objects[0].data, path, sources[0])
    else:
        rows = itertools.chain.from_iterable(
            _rows(config, table, landed, uri) for landed, uri in zip(objects, sources, strict=True)
        )
        count = write_parquet(table, rows, path, " and ".join(sources))
    return _Part(table, path, count, ", ".join(sources), version)


def _copy(table: RawTable, data: bytes, path: Path, what: str) -> int:
    """Write a landed snapshot to a file; returns its number of rows."""
    try:
        with pq.ParquetFile(io.BytesIO(data)) as file:
            schema, count = file.schema_arrow, file.metadata.num_rows
    except pa.ArrowException as error:
        raise NotTripData(f"{what}: is not Parquet ({error}); run the day again to land it again.") from None
    if not schema.equals(table.schema):
        raise SchemaError(f"{what}: was landed with other columns; run the day again to land it again.")
    path.write_bytes(data)
    return int(count)


def _rows(config: BikeshareConfig, table: RawTable, landed: Landed, what: str) -> Iterator[list[Any]]:
    data = unpacked(landed.data, what)
    if table.origin == "daily":
        return json_rows(data, table, what)
    return export_rows(io.BytesIO(data), table, config.settings.bikeshare_escape, what)


def _entry(part: _Part, day: dt.date, counts: dict[str, int], started: dt.datetime, run: Run) -> Entry:
    return Entry(
        table_name=part.table.raw_name,
        date=day,
        version=part.version,
        source=part.source,
        row_count=part.rows,
        counts=json.dumps(counts),
        started_at=started,
        finished_at=dt.datetime.now(dt.UTC),
        run_id=run.run_id,
        orchestrator=run.orchestrator,
    )


def _replace(warehouse: Engine, day: dt.date, parts: list[_Part], entries: list[Entry], run: Run) -> None:
    warehouse.create([*(warehouse_table(part.table) for part in parts), LEDGER])
    statements: list[Statement] = []
    with contextlib.ExitStack() as stack:
        for part in parts:
            table = warehouse_table(part.table)
            name, columns = warehouse.qualified(table.name), ", ".join(c.name for c in table.columns)
            # includes the day: other days may have the same rows, and drop their staging tables
            staged = stack.enter_context(warehouse.staged(table, part.path, f"{day}_{part.version}"))
            statements += [
                f"DELETE FROM {name} WHERE date = @day",
                f"INSERT INTO {name} (date, {columns}) SELECT @day, {columns} FROM {staged}",
                Assertion(
                    f"(SELECT COUNT(*) FROM {name} WHERE date = @day) = {part.rows}",
                    f"{table.name} does not have the {part.rows} rows of {day} that were to be loaded",
                ),
            ]
        ledger_statements, values = ledger.replace(warehouse, entries)
        name = f"{day}-load-{ledger.digest(entries)}"
        warehouse.transact([*statements, *ledger_statements], {"day": day, **values}, run, name)
