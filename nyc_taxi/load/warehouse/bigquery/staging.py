"""A month's Parquet in tables of its own, beside those that readers see."""

from __future__ import annotations

import datetime as dt
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nyc_taxi.load.contract import check_counts
from nyc_taxi.load.footer import footer
from nyc_taxi.load.warehouse.bigquery.bucket import InBucket, in_bucket
from nyc_taxi.load.warehouse.bigquery.client import Connection
from nyc_taxi.load.warehouse.bigquery.errors import AccessRefused, translate_errors
from nyc_taxi.load.warehouse.bigquery.jobs import begin, finish, labels, month_job, month_labels
from nyc_taxi.load.warehouse.bigquery.tables import add_missing, field
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.schema import descriptions
from nyc_taxi.schema.tables import BIGQUERY_TYPES, Table, file_types, month_tables

log = logging.getLogger(__name__)

KEPT = dt.timedelta(days=3)
"""How long the tables of a run that never came to an end stay."""


@dataclass(frozen=True)
class Staged:
    """One kind of a month's rows: where it comes from, where it waits, and the table it is for."""

    kind: str
    path: Path
    target: Table
    name: str
    """Of the table it waits in: says the version and the source, so what is in it can only be right."""
    columns: dict[str, str]
    """BigQuery type by name, in the file's order."""
    descriptions: dict[str, str]
    """What the file says of its own columns."""
    rows: int
    uri: str | None
    """In the bucket; None: it is uploaded from the path."""


def stage(connection: Connection, files: MonthFiles, run: Run) -> list[Staged]:
    """Have the month's trips, quarantine and quality in staging tables.

    What an earlier run has loaded or is loading is used. The files are uploaded if BigQuery may not read
    them from the bucket. Raises SchemaError for a column that does not fit the table it is for,
    DestinationError when the files hold other counts than they say.
    """
    bucket = in_bucket(files, connection.config)
    if bucket is None:
        return _stage(connection, files, run, None)
    try:
        staged = _stage(connection, files, run, bucket)
    except AccessRefused as error:
        log.warning(
            "BigQuery cannot load %s (%s), so the month is uploaded from this machine; to load it from the"
            " bucket, %s.",
            bucket.uris["trips"],
            error.answer,
            bucket.remedy(error, connection.location),
        )
        return _stage(connection, files, run, None)
    bucket.check_unchanged()
    return staged


def _stage(connection: Connection, files: MonthFiles, run: Run, bucket: InBucket | None) -> list[Staged]:
    source = bucket.identity if bucket else "file"
    uris = bucket.uris if bucket else {}
    kinds = [
        _described(files, kind, target, source, uris.get(kind))
        for kind, target in month_tables(files.service).items()
    ]
    check_counts(files, kinds[0].rows, kinds[1].rows)
    for staged in kinds:
        add_missing(connection, staged.target, staged.columns, staged.descriptions)
    jobs = [
        begin_load(
            connection,
            staged,
            month_job(connection, files, f"load-{staged.kind}-{source}"),
            labels(run, **month_labels(files)),
        )
        for staged in kinds
        if lacks_rows(connection, staged)
    ]
    for job in jobs:
        finish(connection, job)
    return kinds


def _described(files: MonthFiles, kind: str, target: Table, source: str, uri: str | None) -> Staged:
    path = files.folder / f"{kind}.parquet"
    file = footer(path)
    what = f"{path.name} of {files.service} {files.month}"
    schema = file.schema.to_arrow_schema()
    columns = file_types(schema, BIGQUERY_TYPES, what)
    month = f"{files.service}_{files.month.year:04d}_{files.month.number:02d}"
    name = re.sub(r"\W", "_", f"staging_{kind}_{month}_{files.version}_{source}")
    return Staged(kind, path, target, name, columns, descriptions(schema), file.num_rows, uri)


def lacks_rows(connection: Connection, staged: Staged) -> bool:
    """Create the staging table if it is missing; returns whether it is still to be loaded."""
    from google.cloud import bigquery

    schema = [field(name, kind) for name, kind in staged.columns.items()]
    staging = bigquery.Table(connection.name(staged.name), schema=schema)
    staging.description = f"For {staged.target.name}; dropped at the end of the load, or when it expires."
    staging.expires = dt.datetime.now(dt.UTC) + KEPT
    with translate_errors(connection.config):
        table = connection.client.create_table(staging, exists_ok=True, **connection.options)
    return int(table.num_rows or 0) != staged.rows


def begin_load(connection: Connection, staged: Staged, name: str, labels: dict[str, str]) -> Any:
    """A load job that fills the staging table at once or, when it fails, leaves it as it is."""
    from google.cloud import bigquery

    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        schema=[field(name, kind) for name, kind in staged.columns.items()],
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        labels=labels,
    )
    config.parquet_options = bigquery.format_options.ParquetOptions()
    config.parquet_options.enable_list_inference = True  # otherwise a list is a record of records

    def start(job_id: str) -> Any:
        client, table = connection.client, connection.name(staged.name)
        how = {"job_id": job_id, "location": connection.location, "job_config": config}
        if staged.uri:
            return client.load_table_from_uri(staged.uri, table, **how, **connection.options)
        with staged.path.open("rb") as file:
            return client.load_table_from_file(file, table, **how, timeout=connection.options["timeout"])

    return begin(connection, name, start, lambda: not lacks_rows(connection, staged))
