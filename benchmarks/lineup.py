"""The list of contenders: their commands, and the checks that they loaded every row."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.contenders import SCHEMA, TABLE
from benchmarks.measure import Failed
from benchmarks.months import MONTH, SERVICE, TAXI, GeneratedMonth, Prepared
from benchmarks.place import ARROW_POOL, Place
from launchers.subprocess_group import MAGE, MEMORY
from nyc_taxi.local.postgres import superuser_url
from nyc_taxi.settings import PROJECT

OURS = sys.executable
"""The Python with the package and Mage."""

THEIRS = str(PROJECT / ".venv-bench" / "bin" / "python")
"""The Python with the other tools."""


@dataclass(frozen=True)
class Trial:
    """A month and the servers to load it into; input of contenders' commands and checks."""

    month: GeneratedMonth
    prepared: Prepared
    place: Place


@dataclass(frozen=True)
class Contender:
    """A measured program."""

    name: str
    title: str
    group: str
    command: Callable[[Trial], list[str]]
    check: Callable[[Trial], None]
    """Raises Failed if rows are missing."""
    steps: tuple[str, ...] = ()
    """Steps whose printed seconds the report shows."""
    timed: str = ""
    """The step to time instead of the whole process, to exclude the start of Python."""
    slow: bool = False
    """Whether to run at most three times."""
    cores: int = 0
    """Number of cores for the program and Postgres; 0: all."""


def run_module(module: str, *arguments: str, python: str = THEIRS) -> list[str]:
    """Return the command line of a module in benchmarks/contenders."""
    return [python, "-m", f"benchmarks.contenders.{module}", *arguments]


def peer(module: str, title: str, python: str = THEIRS, slow: bool = False) -> Contender:
    """Return a contender that loads the file into Postgres with another tool."""

    def command(trial: Trial) -> list[str]:
        return run_module(module, str(trial.month.path), trial.place.postgres.url, python=python)

    return Contender(module, title, "Postgres", command, loaded_all, slow=slow)


def expect(what: str, actual: int, expected: int) -> None:
    """Raise Failed unless a count is as expected."""
    if actual != expected:
        raise Failed(f"{what}: {actual:,} instead of {expected:,}")


def loaded_all(trial: Trial) -> None:
    """Check that every row of the file is in the table."""
    expect("rows in Postgres", trial.place.rows(f"{SCHEMA}.{TABLE}"), trial.month.rows)


def judged_all(trial: Trial) -> None:
    """Check that every row of the file is a trip or quarantined, and that the ledger has the month."""
    place = trial.place
    rows = place.rows(f"taxi.trips_{SERVICE}") + place.rows(f"taxi.quarantine_{SERVICE}")
    expect("trips and quarantine", rows, trial.month.rows)
    expect("ledger", place.rows("taxi.ledger"), 1)


def copied_all(trial: Trial) -> None:
    """Check that every trip is in the table."""
    expect("trips in Postgres", trial.place.rows(f"{SCHEMA}.{TABLE}"), trial.prepared.trips)


def uploaded_all(trial: Trial) -> None:
    """Check that the trips' Parquet is in the bucket."""
    size = (trial.prepared.parquet / "trips.parquet").stat().st_size
    expect("bytes of trips.parquet", trial.place.uploaded().get("trips.parquet", 0), size)


def nothing_to_check(_bout: Trial) -> None:
    """It loads nothing."""


def _taxi_run(trial: Trial) -> list[str]:
    source = f"{trial.place.files_url}/{trial.month.name}"
    return [TAXI, "run", SERVICE, MONTH, "--source", source, "--to", "postgres"]


def _mage_pipeline(trial: Trial) -> list[str]:
    source = f"{trial.place.files_url}/{trial.month.name}"
    variables = {"service": SERVICE, "month": MONTH, "source": source, "destinations": "postgres"}
    pipeline = [str(PROJECT / "mage_project"), "taxi_trips"]
    pool = {name: value for name, value in os.environ.items() if name == ARROW_POOL}
    memory = [f"{name}={value}" for name, value in (pool | MEMORY).items()]  # as in make run
    return ["env", *memory, *MAGE, "run", *pipeline, "--runtime-vars", json.dumps(variables)]


def _ours_to(destination: str) -> Callable[[Trial], list[str]]:
    return lambda trial: run_module("ours_load", str(trial.prepared.parquet), destination, python=OURS)


STEPS = ("download", "clean", "parquet", "postgres")
MAGE_STEPS = ("download_trips", "clean_trips", "trips_to_parquet", "trips_to_postgres")

TAXI_RUN = Contender("taxi_run", "ours: taxi run", "Postgres", _taxi_run, judged_all, STEPS)

LINEUP = [
    TAXI_RUN,
    replace(TAXI_RUN, name="one_core", title="ours: taxi run on one core", cores=1),
    Contender("mage_pipeline", "ours: Mage pipeline", "Postgres", _mage_pipeline, judged_all, MAGE_STEPS),
    peer("course_script", "course script: pandas to_sql", slow=True),
    peer("mage_exporter", "Mage's Postgres exporter", python=OURS, slow=True),
    peer("dlt_parquet", "dlt: Arrow, Parquet, ADBC"),
    peer("duckdb_postgres", "DuckDB: Postgres extension"),
    peer("polars_adbc", "polars: ADBC"),
    peer("sling_file", "sling: file to Postgres", slow=True),
    peer("clickhouse_postgres", "ClickHouse: postgresql function", slow=True),
    Contender(
        "gunzip",
        "isal: gunzip alone",
        "limit",
        lambda trial: run_module("gunzip", str(trial.month.path), "", python=OURS),
        nothing_to_check,
        timed="gunzip",
    ),
    Contender(
        "server_copy",
        "server-side binary COPY",
        "limit",
        lambda trial: run_module(
            "server_copy",
            trial.prepared.copy_file,
            superuser_url(trial.place.postgres),
            trial.prepared.table,
            python=OURS,
        ),
        copied_all,
        timed="copy",
    ),
    Contender(
        "memory_copy",
        "memory: copy of as many bytes",
        "limit",
        lambda trial: run_module("memory_copy", "", str(trial.prepared.copy_size), python=OURS),
        nothing_to_check,
        timed="copy",
    ),
    Contender("ours_gcs", "ours: Parquet to the bucket", "GCS", _ours_to("gcs"), uploaded_all, ("load",)),
    Contender(
        "gcs_client",
        "Google's client",
        "GCS",
        lambda trial: run_module("gcs_client", str(trial.prepared.parquet), trial.place.prefix, python=OURS),
        uploaded_all,
        ("load",),
    ),
    Contender(
        "ours_duckdb",
        "ours: Parquet to the warehouse",
        "warehouse",
        _ours_to("duckdb"),
        lambda trial: expect(
            "trips", trial.place.warehouse_rows(f"taxi.trips_{SERVICE}"), trial.prepared.trips
        ),
        ("load",),
    ),
    Contender(
        "duckdb_file",
        "DuckDB: CREATE TABLE AS",
        "warehouse",
        lambda trial: run_module("duckdb_file", str(trial.prepared.parquet), str(trial.place.warehouse)),
        lambda trial: expect("trips", trial.place.warehouse_rows("trips"), trial.prepared.trips),
        ("load",),
    ),
]
