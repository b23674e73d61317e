"""Tables of earlier versions are brought to the schema: those of 0.1.0, and columns of another type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from nyc_taxi.cli import main
from nyc_taxi.errors import SchemaError
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run
from nyc_taxi.reporting.verification import verify_months
from nyc_taxi.schema import SCHEMA_VERSION
from nyc_taxi.schema.tables import LEDGER
from nyc_taxi.settings import PROJECT, load_settings
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import green_csv, month_files
from tests.support.postgres_probe import query
from tests.support.runs import run_month

GREEN, APRIL = Service.GREEN, Month(2020, 4)
DUMPS = PROJECT / "tests" / "support" / "v0_1_0"
TYPES = {"postgres": {"text": "text", "big": "bigint", "small": "smallint"}}
TYPES["duckdb"] = {"text": "VARCHAR", "big": "BIGINT", "small": "SMALLINT"}

Sql = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(params=["postgres", "duckdb"])
def name(request: pytest.FixtureRequest, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A destination without tables."""
    monkeypatch.setenv("TAXI_DESTINATIONS", request.param)
    monkeypatch.setenv("TAXI_MAX_QUARANTINED", "0.5")
    if request.param == "postgres":
        request.getfixturevalue("postgres")
    return str(request.param)


@pytest.fixture
def sql(name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sql:
    """Runs SQL in the destination, past the code under test."""
    monkeypatch.setenv("DUCKDB_DATABASE", str(tmp_path / "warehouse.duckdb"))

    def ask(text: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(tmp_path / "warehouse.duckdb") as database:
            database.execute("SET TimeZone = 'UTC'")
            return database.execute(text).fetchall()

    if name == "duckdb":
        return ask
    config: PostgresConfig = request.getfixturevalue("postgres")
    return lambda text: query(config, text)


@pytest.fixture
def old(name: str, sql: Sql) -> Sql:
    """The tables of version 0.1.0, which hold green 2020-04 and met trip_type as an unknown column."""
    sql((DUMPS / f"{name}.sql").read_text("utf-8"))
    return sql


def taxi(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["taxi", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)


def april(folder: Path) -> Path:
    """The file of the month in the dump."""
    rows = [{"trip_type": str(1 + number % 2)} for number in range(4)]
    reversed_trip = {"lpep_dropoff_datetime": "2020-04-10 07:00:00"}
    green_csv(folder / "green_tripdata_2020-04.csv", [*rows, reversed_trip])
    return folder / "green_tripdata_2020-04.csv"


def damaged(name: str) -> list[str]:
    return [str(each) for each in verify_months([name], load_settings()) if each.damage]


def types(sql: Sql, table: str) -> dict[str, str]:
    query = "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'taxi'"
    return dict(sql(f"{query} AND table_name = '{table}'"))


def set_type(sql: Sql, name: str, kind: str) -> None:
    """Give trip_type another type, as if another file had been the first."""
    using = " USING trip_type::bigint" * (name == "postgres")
    sql(f"ALTER TABLE taxi.trips_green ALTER COLUMN trip_type TYPE {kind}{using}")


@pytest.mark.parametrize("was", ["text", "big"])
def test_tables_of_the_first_version_are_migrated_and_take_the_month_again(
    old: Sql, name: str, was: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if was == "big":
        set_type(old, name, TYPES[name]["big"])
    before = old("SELECT source_row, trip_type FROM taxi.trips_green ORDER BY 1")
    with pytest.raises(SchemaError, match=r"trip_type .*taxi migrate"):
        run_month(GREEN, APRIL, str(april(tmp_path)), [name])

    assert taxi("migrate", "--dry-run") == 0
    kind, small = TYPES[name][was], TYPES[name]["small"]
    shown = capsys.readouterr().out
    assert f"{name}: trips_green.trip_type: {kind} becomes {small}\n" in shown
    assert "ALTER TABLE" in shown
    assert types(old, "trips_green")["trip_type"] == kind

    assert taxi("migrate") == 0
    assert types(old, "trips_green")["trip_type"] == small
    after = old("SELECT source_row, trip_type FROM taxi.trips_green ORDER BY 1")
    assert [(row, int(value)) for row, value in before] == after
    assert old("SELECT count(*), count(reason) FROM taxi.all_rows_green") == [(5, 1)]
    assert set(types(old, "ledger")) == {column.name for column in LEDGER}
    assert "nothing to migrate" in (taxi("migrate"), capsys.readouterr().out)[1]
    (entry,) = open_destination(name, load_settings()).ledger_entries()
    assert (entry.package_version, entry.rows_in, entry.action) == ("0.1.0", 5, "load")
    assert damaged(name) == []

    outcome = run_month(GREEN, APRIL, str(april(tmp_path)), [name])
    assert (outcome.files.rows_in, outcome.loaded[0].skipped) == (5, False)
    assert after == old("SELECT source_row, trip_type FROM taxi.trips_green ORDER BY 1")
    assert len(open_destination(name, load_settings()).history(GREEN, APRIL)) == 2
    assert damaged(name) == []


def test_a_month_is_loaded_into_tables_of_the_first_version_that_fit(
    old: Sql, name: str, tmp_path: Path
) -> None:
    """Columns of the ledger and of trips are added without a migration."""
    old("ALTER TABLE taxi.trips_green DROP COLUMN trip_type" + " CASCADE" * (name == "postgres"))
    run_month(GREEN, APRIL, str(april(tmp_path)), [name])
    steps = open_destination(name, load_settings()).migrate(dry_run=True)
    widened = ["schema_version: integer becomes bigint"] if name == "postgres" else []
    assert [step.description for step in steps] == widened
    assert damaged(name) == []


def narrow_quality(name: str, sql: Sql) -> None:
    """Give a column of the quality report a narrower type than the schema's."""
    for view in ("monthly_totals", "quarantine_by_rule"):  # Postgres keeps the types that views read
        sql(f"DROP VIEW taxi.{view}")
    sql("ALTER TABLE taxi.quality ALTER COLUMN value TYPE " + {"postgres": "real", "duckdb": "FLOAT"}[name])


def load_with_text(name: str, sql: Sql, source: Path) -> None:
    """Load the month, then make trip_type a column of text, one of whose values is no number."""
    run_month(GREEN, APRIL, str(source), [name])
    if name == "postgres":
        sql("DROP VIEW taxi.all_rows_green")
    sql(f"ALTER TABLE taxi.trips_green ALTER COLUMN trip_type TYPE {TYPES[name]['text']}")
    sql("UPDATE taxi.trips_green SET trip_type = 'two' WHERE source_row = 2")


def test_values_that_do_not_fit_are_kept_and_their_month_is_loaded_again_from_the_lake(
    name: str, sql: Sql, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load_with_text(name, sql, april(tmp_path))
    aside = f"trip_type_{TYPES[name]['text'].lower()}"
    assert taxi("migrate") == 0
    shown = capsys.readouterr().out
    assert f"which not all values fit; they are kept as {aside}" in shown
    assert "green 2020-04 is loaded again from the lake" in shown
    rows = sql(f"SELECT trip_type, {aside} FROM taxi.trips_green ORDER BY source_row")
    assert rows == [(1, None), (2, None), (1, None), (2, None)], "the month is loaded again"
    assert damaged(name) == []


def test_values_that_do_not_fit_stay_while_the_month_cannot_be_loaded_again(
    old: Sql, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first version had no lake."""
    old("UPDATE taxi.trips_green SET trip_type = 'two' WHERE source_row = 2")
    assert taxi("migrate") == 1
    assert "the lake holds no file of" in capsys.readouterr().out
    aside = f"trip_type_{TYPES[name]['text'].lower()}"
    rows = old(f"SELECT trip_type, {aside} FROM taxi.trips_green ORDER BY source_row")
    assert rows == [(None, "1"), (None, "two"), (None, "1"), (None, "2")]
    run_month(GREEN, APRIL, str(april(tmp_path)), [name])
    assert [row[0] for row in old("SELECT trip_type FROM taxi.trips_green ORDER BY source_row")] == [
        1,
        2,
        1,
        2,
    ]
    assert damaged(name) == []


def test_months_to_load_again_are_named_while_another_table_changes(
    name: str, sql: Sql, tmp_path: Path
) -> None:
    load_with_text(name, sql, april(tmp_path))
    destination = open_destination(name, load_settings())
    destination.migrate(dry_run=False)  # killed before it has loaded the month again
    narrow_quality(name, sql)
    steps = destination.migrate(dry_run=False)
    assert {step.table: step.reload for step in steps} == {"trips_green": ((GREEN, APRIL),), "quality": ()}


def test_a_migration_that_ends_before_it_has_loaded_months_again_goes_on(
    name: str, sql: Sql, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load_with_text(name, sql, april(tmp_path))
    open_destination(name, load_settings()).migrate(dry_run=False)  # the tables are changed, no more
    (step,) = open_destination(name, load_settings()).migrate(dry_run=True)
    assert (step.statements, step.reload) == ((), ((GREEN, APRIL),))

    assert taxi("migrate") == 0
    assert "green 2020-04 is loaded again from the lake" in capsys.readouterr().out
    assert sql("SELECT trip_type FROM taxi.trips_green ORDER BY source_row") == [(1,), (2,), (1,), (2,)]
    assert (taxi("migrate"), capsys.readouterr().out) == (0, f"{name}: nothing to migrate\n")


@pytest.mark.parametrize("name", ["postgres"], indirect=True)
def test_a_migration_that_fails_changes_nothing(old: Sql, name: str) -> None:
    """Postgres refuses to change a column that a view of somebody's own reads."""
    old("CREATE VIEW taxi.own AS SELECT trip_type FROM taxi.trips_green")
    before = (types(old, "ledger"), types(old, "trips_green"))
    assert taxi("migrate") == 1
    assert (types(old, "ledger"), types(old, "trips_green")) == before


def test_columns_that_the_schema_does_not_know_stay(name: str, sql: Sql, tmp_path: Path) -> None:
    destination = open_destination(name, load_settings())
    files = month_files(tmp_path, "v1", extra={"tip": pa.array(range(20), pa.int64())})
    destination.replace_month(RefinedMonth.of(files), Run.new("cli"))
    narrow_quality(name, sql)
    (step,) = destination.migrate(dry_run=False)
    assert (step.table, step.reload) == ("quality", ())
    assert destination.migrate(dry_run=True) == []
    assert types(sql, "trips_green")["tip"] == TYPES[name]["big"]
    entry = destination.ledger_entry(GREEN, APRIL)
    assert entry is not None
    assert entry.schema_version == SCHEMA_VERSION
