"""An upgrade of the tables of version 0.1.0 leaves readers, grants and views of others alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nyc_taxi.errors import DestinationError
from nyc_taxi.load.postgres import locks
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.postgres.load import Postgres
from nyc_taxi.schema.tables import LEDGER
from nyc_taxi.settings import PROJECT
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import month_files
from tests.support.postgres_probe import RUN, ask, query, session, waiting
from tests.support.waiting import until

DUMP = PROJECT / "tests" / "support" / "v0_1_0" / "postgres.sql"
MAY = "SELECT has_table_privilege('pg_monitor', 'taxi.{}', 'SELECT')"


@pytest.fixture
def old(postgres: PostgresConfig) -> PostgresConfig:
    """A database with the tables of version 0.1.0 and a month."""
    query(postgres, DUMP.read_text("utf-8"))
    return postgres


@pytest.fixture
def fitting(old: PostgresConfig) -> PostgresConfig:
    """The same, without the column whose type no load accepts before a migration."""
    query(old, "ALTER TABLE trips_green DROP COLUMN trip_type")
    return old


def load(target: PostgresConfig, folder: Path) -> None:
    Postgres(target).replace_month(RefinedMonth.of(month_files(folder, month="2020-05")), RUN)


def columns(target: PostgresConfig, name: str) -> list[str]:
    rows = query(
        target,
        "SELECT attname FROM pg_attribute"
        " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        name,
    )
    return [row[0] for row in rows]


def test_the_view_of_the_ledger_keeps_its_grants_and_the_views_upon_it(
    fitting: PostgresConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    query(fitting, "GRANT SELECT ON ledger_current TO pg_monitor")
    query(fitting, "CREATE VIEW own AS SELECT month, version FROM ledger_current")
    load(fitting, tmp_path)
    assert columns(fitting, "ledger_current") == columns(fitting, "ledger")
    assert {column.name for column in LEDGER} <= {*columns(fitting, "ledger_current")}
    assert query(fitting, MAY.format("ledger_current")) == [(True,)]
    assert query(fitting, "SELECT count(*) FROM own") == [(2,)]
    assert "stays as it is" not in caplog.text


def test_a_view_that_is_dropped_and_created_keeps_its_grants(
    postgres: PostgresConfig, tmp_path: Path
) -> None:
    load(postgres, tmp_path)
    query(postgres, "DROP VIEW all_rows_green; CREATE VIEW all_rows_green AS SELECT 1 AS one")
    query(postgres, "GRANT SELECT ON all_rows_green TO pg_monitor WITH GRANT OPTION")
    load(postgres, tmp_path / "again")
    assert "month" in columns(postgres, "all_rows_green")
    may = MAY.replace("'SELECT'", "'SELECT WITH GRANT OPTION'")
    assert query(postgres, may.format("all_rows_green")) == [(True,)]


def test_a_reader_of_the_ledger_delays_its_columns_but_not_other_readers(
    fitting: PostgresConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", "100ms")
    with ThreadPoolExecutor() as pool, session(fitting) as slow, session(fitting) as quick:
        ask(slow, "BEGIN; SELECT count(*) FROM ledger")
        loading = pool.submit(load, fitting, tmp_path)
        until(lambda: waiting(fitting, "relation") == 1)
        ask(quick, "SET statement_timeout TO '20s'")  # far more than an attempt, less than the slow reader
        assert ask(quick, "SELECT count(*) FROM ledger") == [(1,)]
        assert not loading.done()
        ask(slow, "COMMIT")
        loading.result()
    assert {column.name for column in LEDGER} <= {*columns(fitting, "ledger")}


def test_a_migration_that_only_adds_columns_leaves_views_alone(fitting: PostgresConfig) -> None:
    query(fitting, "DROP VIEW ledger_current; ALTER TABLE ledger ALTER COLUMN schema_version TYPE bigint")
    query(fitting, "CREATE VIEW ledger_current AS SELECT * FROM ledger")
    query(fitting, "CREATE VIEW own AS SELECT month, version FROM ledger_current")
    steps = Postgres(fitting).migrate(dry_run=False)
    assert steps
    assert {step.changed for step in steps} == {None}
    assert query(fitting, "SELECT count(*) FROM own") == [(1,)]
    assert columns(fitting, "ledger_current") == columns(fitting, "ledger")


def test_a_view_upon_a_view_that_a_migration_drops_is_named(old: PostgresConfig) -> None:
    query(old, "CREATE VIEW own AS SELECT month, version FROM ledger_current")
    before = columns(old, "ledger")
    with pytest.raises(DestinationError, match=r"own depends on .*ledger_current.*: drop .* `taxi migrate`"):
        Postgres(old).migrate(dry_run=False)
    assert columns(old, "ledger") == before


def test_a_migration_keeps_the_grants_on_the_views_that_it_drops(old: PostgresConfig) -> None:
    query(old, "GRANT SELECT ON ledger_current TO pg_monitor")
    changed = {step.changed for step in Postgres(old).migrate(dry_run=False)}
    assert "schema_version" in changed
    assert query(old, MAY.format("ledger_current")) == [(True,)]


def test_values_that_arrive_while_a_migration_waits_are_noticed(
    old: PostgresConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", "30s")
    with ThreadPoolExecutor() as pool, session(old) as loader:
        ask(loader, "BEGIN; UPDATE trips_green SET trip_type = 'two' WHERE source_row = 2")
        migrating = pool.submit(Postgres(old).migrate, dry_run=False)
        until(lambda: waiting(old, "relation") == 1)
        ask(loader, "COMMIT")
        steps = {step.changed: step for step in migrating.result()}
    assert "kept as trip_type_text" in steps["trip_type"].description
    assert query(old, "SELECT trip_type_text FROM trips_green WHERE source_row = 2") == [("two",)]
