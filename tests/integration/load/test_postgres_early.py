"""Trips loaded while their Parquet is written: the same tables, and nothing before the month is whole."""

from __future__ import annotations

import shutil
from concurrent.futures import Future
from pathlib import Path

import pytest

from nyc_taxi.errors import DestinationError, TaxiError
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.postgres.load import Postgres
from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import CleanMonth, MonthFiles
from nyc_taxi.pipelines.trips.clean import clean
from nyc_taxi.pipelines.trips.download import download
from nyc_taxi.pipelines.trips.refine import to_parquet
from nyc_taxi.settings import load_settings
from nyc_taxi.transform.refined import RefinedMonth
from nyc_taxi.transform.rule_checks import load_rules
from tests.support.postgres_probe import RUN, query, state

YELLOW, JANUARY = Service.YELLOW, Month(2021, 1)


@pytest.fixture
def cleaned(workspace: Path, tmp_path: Path) -> CleanMonth:
    """A cleaned month: more than one batch of COPY, and a column that the schema does not know."""
    path = tmp_path / "yellow_tripdata_2021-01.csv"
    samples.write(YELLOW, JANUARY, path, rows=20_000, malformed=3)
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header + ",new", *(line + ",7" for line in lines)]) + "\n")
    return clean(download(YELLOW, JANUARY, str(path), load_settings()), load_settings())


def rows(target: PostgresConfig) -> dict[str, list[tuple[object, ...]]]:
    tables = ("trips_yellow", "quarantine_yellow", "quality")
    return {name: sorted(query(target, f"SELECT * FROM {name}"), key=repr) for name in tables}


def coming(cleaned: CleanMonth, files: MonthFiles | Exception) -> RefinedMonth:
    writing: Future[MonthFiles] = Future()
    if isinstance(files, Exception):
        writing.set_exception(files)
    else:
        writing.set_result(files)
    return RefinedMonth.in_progress(cleaned, load_rules(load_settings().rules, YELLOW), writing)


def test_the_tables_are_the_same_as_from_the_parquet(postgres: PostgresConfig, cleaned: CleanMonth) -> None:
    files, destination = to_parquet(cleaned, load_settings()), Postgres(postgres)
    early = destination.replace_month(coming(cleaned, files), RUN)
    first = rows(postgres)
    query(postgres, "DROP SCHEMA taxi CASCADE")
    late = destination.replace_month(RefinedMonth.of(files), RUN)
    assert rows(postgres) == first
    assert len(first["trips_yellow"]) == early.rows_loaded == late.rows_loaded == files.trips > 19_000
    assert len(first["quarantine_yellow"]) == files.rows_quarantined >= 3


def test_without_its_parquet_nothing_of_a_month_is_there(
    postgres: PostgresConfig, cleaned: CleanMonth
) -> None:
    destination = Postgres(postgres)
    with pytest.raises(TaxiError, match="the disk is full"):
        destination.replace_month(coming(cleaned, TaxiError("the disk is full.")), RUN)
    assert destination.ledger_entries() == []
    assert query(postgres, "SELECT count(*) FROM trips_yellow") == [(0,)]
    before = state(postgres)
    assert not [name for name in before["relations"] if "2021" in str(name)]


def test_trips_that_are_not_as_many_as_counted_are_refused(
    postgres: PostgresConfig, cleaned: CleanMonth
) -> None:
    files = to_parquet(cleaned, load_settings())
    month = coming(cleaned, files)
    schema, batches = month.trips()
    object.__setattr__(month, "trips", lambda: (schema, (batch.slice(1) for batch in batches)))
    with pytest.raises(DestinationError, match="run the month again"):
        Postgres(postgres).replace_month(month, RUN)
    assert Postgres(postgres).ledger_entries() == []


def test_a_staged_month_that_another_run_has_removed_is_read_from_its_parquet(
    postgres: PostgresConfig, cleaned: CleanMonth
) -> None:
    month = coming(cleaned, to_parquet(cleaned, load_settings()))
    shutil.rmtree(cleaned.folder)
    assert Postgres(postgres).replace_month(month, RUN).rows_loaded == cleaned.trips


def test_a_staged_month_that_is_removed_while_it_is_read_is_read_to_its_end(
    postgres: PostgresConfig, cleaned: CleanMonth
) -> None:
    month = coming(cleaned, to_parquet(cleaned, load_settings()))

    def remove(_done: int, _total: int) -> None:
        shutil.rmtree(cleaned.folder, ignore_errors=True)

    assert Postgres(postgres).replace_month(month, RUN, remove).rows_loaded == cleaned.trips


def test_a_connection_that_breaks_meanwhile_is_made_again(
    postgres: PostgresConfig, cleaned: CleanMonth
) -> None:
    cuts = []

    def cut_once(done: int, _total: int) -> None:
        if not cuts:
            cuts.append(done)
            query(
                postgres,
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
                " WHERE application_name = 'nyc_taxi' AND datname = current_database()",
            )

    month = coming(cleaned, to_parquet(cleaned, load_settings()))
    assert Postgres(postgres).replace_month(month, RUN, cut_once).rows_loaded == cleaned.trips
    assert cuts
    assert len(Postgres(postgres).ledger_entries()) == 1


def test_a_table_gets_the_schema_s_new_columns_though_the_file_has_them_not(
    postgres: PostgresConfig, cleaned: CleanMonth
) -> None:
    files, destination = to_parquet(cleaned, load_settings()), Postgres(postgres)
    destination.replace_month(RefinedMonth.of(files), RUN)
    query(postgres, "ALTER TABLE trips_yellow DROP COLUMN airport_fee CASCADE; DELETE FROM ledger")
    destination.replace_month(coming(cleaned, files), RUN)
    assert query(postgres, "SELECT count(airport_fee), count(*) FROM trips_yellow") == [(0, files.trips)]
