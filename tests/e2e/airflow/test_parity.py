"""The same month, and the same day of the bike-share, through Mage and through Airflow: the same everywhere.

Needs Mage's environment beside Airflow's: `make airflow-test` makes both.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import httpx
import psycopg2
import pytest

from nyc_taxi.local import gcs, postgres
from nyc_taxi.settings import PROJECT
from tests.e2e.airflow.conftest import plain_environment, stop_servers, taxi

MAGE = PROJECT / ".venv" / "bin" / "mage"
SHIPPED = PROJECT / "mage_project" / "transformers" / "derive_trips.py"
WHO_AND_WHEN = {"id", "started_at", "finished_at", "run_id", "orchestrator"}
"""Fields of a ledger that differ between two loads of the same."""

MONTHS = [("green", "2020-04", "sample:500:1", 500)] + [
    pytest.param("green", month, f"{{}}/{folder}", rows, marks=pytest.mark.real)
    for month, folder, rows in [
        ("2020-04", "nyc-tlc-data", 35_612),
        ("2023-01", "trip-data", 68_211),
        ("2025-01", "trip-data", 48_326),
    ]
]


@pytest.mark.parametrize(("service", "month", "source", "rows"), MONTHS)
def test_mage_and_airflow_leave_the_same(run_dag, place, request, service, month, source, rows):
    if "{}" in source:
        source = source.format(request.getfixturevalue("real_data"))
    conf = json.dumps(
        {"service": service, "month": month, "source": source, "destinations": "postgres,gcs,duckdb"}
    )
    sides = {name: place / f"{name}-{month}-{rows}" for name in ("mage", "airflow")}
    try:
        through_mage("taxi_trips", conf, sides["mage"])
        run_dag("taxi_ingest", conf, TAXI_WORKSPACE=str(sides["airflow"]))
        mage, airflow = (content(sides[name]) for name in ("mage", "airflow"))
    finally:
        for workspace in sides.values():
            stop_servers(workspace)
    assert_equal(mage, airflow)
    assert sum(name.startswith("file ") for name in mage) == 4
    assert {row["rows_in"] for name in mage if "ledger" in name for row in mage[name]} == {rows}


TRANSFORM = """
import pandas as pd
from nyc_taxi.transform.user import each_batch

@each_batch
def derive_trips(trips: pd.DataFrame) -> pd.DataFrame:
    trips = trips[trips["trip_distance"] > 0]
    trips["minutes"] = (trips["dropoff_datetime"] - trips["pickup_datetime"]).dt.total_seconds() / 60
    trips["pickup_date"] = trips["pickup_datetime"].dt.date
    trips["solo"] = trips["passenger_count"] == 1
    trips["hour"] = trips["pickup_datetime"].dt.hour
    trips["stored"] = trips["store_and_fwd_flag"].str.lower()
    trips["paid_by"] = trips["payment_type"].map({1: "card", 2: "cash"})
    return trips
"""


YELLOW = pytest.param("yellow", "2021-01", "{}/nyc-tlc-data", 22_788, marks=pytest.mark.real)


@pytest.mark.parametrize(("service", "month", "source", "rows"), [*MONTHS[:2], YELLOW])
def test_an_edited_transform_and_its_undo_leave_the_same_by_command_mage_and_airflow(
    run_dag, place, request, service, month, source, rows
):
    """Mage has pandas 2, Airflow pandas 3."""
    if "{}" in source:
        source = source.format(request.getfixturevalue("real_data"))
    transform = place / f"derive-{service}-{rows}.py"
    setting = {"TAXI_TRANSFORM": str(transform)}
    conf = {"service": service, "month": month, "source": source, "destinations": "postgres,gcs,duckdb"}
    names = ("plain", "command", "mage", "airflow")
    plain, *sides = (place / f"{name}-derived-{service}-{rows}" for name in names)

    def load_with(code: str) -> list[dict[str, Any]]:
        """Save the function, load the month in each of the three ways; what each leaves."""
        transform.write_text(code)
        command, mage, airflow = sides
        taxi(command, *run, **setting)
        through_mage("taxi_trips", json.dumps(conf), mage, **setting)
        run_dag("taxi_ingest", json.dumps(conf), TAXI_WORKSPACE=str(airflow), **setting)
        return [content(side) for side in sides]

    run = ("run", service, month, "--source", source, "--to", conf["destinations"])
    try:
        taxi(plain, *run)
        before = content(plain)
        edited, undone = load_with(TRANSFORM), load_with(SHIPPED.read_text())
    finally:
        for workspace in (plain, *sides):
            stop_servers(workspace)
    for command, mage, airflow in (edited, undone):
        assert_equal(command, mage)
        assert_equal(mage, airflow)
    [entry] = edited[0]["duckdb ledger"]
    assert entry["rows_in"] == rows == entry["rows_loaded"] + entry["rows_quarantined"]
    assert entry["rows_loaded"] < before["duckdb ledger"][0]["rows_loaded"]
    assert "derive_trips" in edited[0][f"postgres quarantine_{service}"]
    assert_undone(before, undone[0])


def assert_undone(before: dict[str, Any], undone: dict[str, Any]) -> None:
    """Files, objects and tables are those without a transform, but for empty columns that it had added."""
    for name, value in before.items():
        if "ledger" in name:
            assert {entry["version"] for entry in value} <= {entry["version"] for entry in undone[name]}, name
        elif name.startswith(("file ", "gcs ")):
            assert undone[name] == value, f"{name} differs"
        else:
            expected, rows = rows_of(value), rows_of(undone[name])
            width = max(map(len, expected), default=0)
            assert sorted((row[:width] for row in rows), key=str) == sorted(expected, key=str), name
            assert all(cell in (None, r"\N") for row in rows for cell in row[width:]), name


def rows_of(table: str | list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows of a table of Postgres, as text, or of DuckDB."""
    return [tuple(line.split("\t")) for line in table.splitlines()] if isinstance(table, str) else table


@pytest.mark.parametrize(
    ("days", "trips"),
    [
        (["2018-01-01"], [200]),  # generated
        pytest.param(["2018-01-01", "2018-01-02"], [1375, 3252], marks=pytest.mark.real),
    ],
)
def test_a_bikeshare_is_the_same_by_command_mage_and_airflow(run_dag, place, request, days, trips):
    """Real files lie in the folder `bikeshare` beside TLC's; Airflow loads the later day first."""
    real = request.getfixturevalue("real_data").parent / "bikeshare" if len(days) > 1 else None
    sides = {name: place / f"{name}-bikeshare-{len(days)}" for name in ("command", "mage", "airflow")}
    try:
        for side in sides.values():
            taxi(side, "bikeshare", "seed", *(["--from", str(real)] if real else days))
        for day in days:
            taxi(sides["command"], "bikeshare", "run", day)
            through_mage("bikeshare_stations", json.dumps({"day": day}), sides["mage"])
        for day in reversed(days):
            run_dag("bikeshare", json.dumps({"day": day}), TAXI_WORKSPACE=str(sides["airflow"]))
        command, mage, airflow = (warehouse(side) for side in sides.values())
    finally:
        for side in sides.values():
            stop_servers(side)
    ledger = {(str(row["date"]), row["table_name"]): row for row in command["duckdb ledger"]}
    assert [ledger[day, "raw_trips"]["row_count"] for day in days] == trips
    for other in (mage, airflow):
        assert_equal(command, other)


def assert_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Both hold the same things; says which one differs."""
    assert one.keys() == other.keys()
    for name in one:
        assert one[name] == other[name], f"{name} differs"


def through_mage(pipeline: str, conf: str, workspace: Path, **settings: str) -> None:
    """Run a Mage pipeline in Mage's own environment."""
    environment = {
        **plain_environment(),
        **settings,
        "TAXI_WORKSPACE": str(workspace),
        "MAGE_DATA_DIR": str(workspace / "mage_data"),
    }
    command = [
        *(str(MAGE), "run", str(PROJECT / "mage_project"), pipeline),
        *("--test", "--runtime-vars", conf),
    ]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]


def content(workspace: Path) -> dict[str, Any]:
    """All that a workspace and its embedded servers hold, by name; ledgers without who loaded and when."""
    return {**parquet(workspace), **tables(workspace), **objects(workspace), **warehouse(workspace)}


def parquet(workspace: Path) -> dict[str, bytes]:
    """Every file of the versions in the lake, manifests too: none names a place on the machine."""
    folder = workspace / "lake" / "versions"
    return {f"file {path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*.*")}


def tables(workspace: Path) -> dict[str, Any]:
    """Every table of Postgres: as text in a fixed order, the ledger as rows."""
    contents: dict[str, Any] = {}
    url = postgres.ensure(workspace / "postgres").url
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'taxi' AND table_type = 'BASE TABLE'"
        )
        for [name] in cursor.fetchall():
            if name == "ledger":
                cursor.execute("SELECT row_to_json(ledger) FROM taxi.ledger")
                contents["postgres ledger"] = [anonymous(row) for [row] in cursor.fetchall()]
            else:
                text = io.StringIO()
                cursor.copy_expert(f"COPY (SELECT * FROM taxi.{name} ORDER BY {name}::text) TO STDOUT", text)
                contents[f"postgres {name}"] = text.getvalue()
    return contents


def objects(workspace: Path) -> dict[str, Any]:
    """Every object of the bucket: its bytes, or the fields of a ledger's."""
    server = gcs.ensure(workspace / "gcs")
    contents: dict[str, Any] = {}
    listing = httpx.get(f"{server.url}/storage/v1/b/{server.bucket}/o", params={"maxResults": 1000}).json()
    for item in listing["items"]:
        data = httpx.get(item["mediaLink"]).content
        kind = item["name"].partition("/")[0]
        if kind in ("ledger", "manifests"):
            contents.setdefault(f"gcs {kind} ledger", []).append(anonymous(json.loads(data)))
        else:
            contents[f"gcs {item['name']}"] = data
    return contents


def warehouse(workspace: Path) -> dict[str, Any]:
    """Every table of the embedded warehouse."""
    contents: dict[str, Any] = {}
    with duckdb.connect(str(workspace / "warehouse.duckdb"), read_only=True) as connection:
        names = connection.sql(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
        ).fetchall()
        for schema, name in names:
            rows = connection.sql(f"SELECT * FROM {schema}.{name} ORDER BY ALL")
            if name == "ledger":
                entries = [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
                contents["duckdb ledger"] = [anonymous(entry) for entry in entries]
            else:
                contents[f"duckdb {name}"] = rows.fetchall()
    return contents


def anonymous(row: dict[str, Any]) -> dict[str, Any]:
    assert WHO_AND_WHEN - {"id"} <= row.keys()
    return {name: value for name, value in row.items() if name not in WHO_AND_WHEN}
