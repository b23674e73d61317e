"""Several runs, and readers beside them."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2.extensions
import pyarrow as pa
import pytest
import stamina

from nyc_taxi.errors import LockTimeout, SchemaError
from nyc_taxi.load.postgres import locks, replace
from nyc_taxi.load.postgres.client import transaction
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.postgres.load import Postgres
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import month_files
from tests.support.postgres_probe import RUN, ask, query, session, state, waiting
from tests.support.waiting import until

MONTHS = [f"2020-{number:02d}" for number in range(1, 5)]


class Gate:
    """A progress callback that stops the load inside its COPY until the test opens the gate."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, done: int, total: int) -> None:
        self.reached.set()
        assert self.opened.wait(30)


def test_two_runs_of_one_month_load_it_once(postgres: PostgresConfig, tmp_path: Path) -> None:
    files, gate, second_loaded = month_files(tmp_path), Gate(), threading.Event()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(Postgres(postgres).replace_month, RefinedMonth.of(files), RUN, gate)
        assert gate.reached.wait(30)
        second = pool.submit(
            Postgres(postgres).replace_month, RefinedMonth.of(files), RUN, lambda *_: second_loaded.set()
        )
        until(lambda: waiting(postgres, "advisory") == 1)
        gate.opened.set()
        assert first.result() == second.result()
    assert not second_loaded.is_set()
    assert query(postgres, "SELECT count(*) FROM ledger") == [(1,)]


def test_the_wait_for_another_run_ends(
    postgres: PostgresConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(locks, "MONTH_PATIENCE", "50ms")
    caplog.set_level(logging.INFO, locks.__name__)
    files, gate = month_files(tmp_path), Gate()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(Postgres(postgres).replace_month, RefinedMonth.of(files), RUN, gate)
        assert gate.reached.wait(30)
        with pytest.raises(LockTimeout, match="another run has been loading green 2020-04 for 50ms"):
            Postgres(postgres).replace_month(RefinedMonth.of(files), RUN)
        assert caplog.messages == ["Another run is loading green 2020-04: waiting for it."]  # once
        gate.opened.set()
        first.result()


def test_different_months_load_side_by_side_from_the_first_run_on(
    postgres: PostgresConfig, tmp_path: Path
) -> None:
    all_inside = threading.Barrier(len(MONTHS), timeout=30)
    for version in ("v1", "v2"):  # the first creates the tables, the second replaces partitions

        def load(month: str, version: str = version) -> None:
            files = month_files(tmp_path, version, month, quarantined=0)
            passed: list[int] = []

            def meet_once(_done: int, _total: int) -> None:
                if not passed:
                    passed.append(all_inside.wait())

            Postgres(postgres).replace_month(RefinedMonth.of(files), RUN, meet_once)

        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(load, month) for month in MONTHS]:
                done.result()
        versions = query(
            postgres, "SELECT source_version, count(*), count(DISTINCT month) FROM trips_green GROUP BY 1"
        )
        assert versions == [(version, 80, 4)]


def test_a_column_that_another_month_adds_meanwhile_is_no_obstacle(
    postgres: PostgresConfig, tmp_path: Path
) -> None:
    gate, peak = Gate(), {"peak": pa.array(range(20))}
    Postgres(postgres).replace_month(RefinedMonth.of(month_files(tmp_path, month="2020-01")), RUN)
    with ThreadPoolExecutor() as pool:
        loading = [
            pool.submit(Postgres(postgres).replace_month, RefinedMonth.of(files), RUN, gate)
            for files in (
                month_files(tmp_path, month="2020-02"),
                month_files(tmp_path, month="2020-03", extra=peak),
            )
        ]
        assert gate.reached.wait(30)
        Postgres(postgres).replace_month(
            RefinedMonth.of(month_files(tmp_path, month="2020-04", extra=peak)), RUN
        )
        gate.opened.set()
        for done in loading:
            done.result()
    sums = query(postgres, "SELECT sum(peak), count(*) FROM trips_green GROUP BY month ORDER BY month")
    assert sums == [(None, 20), (None, 20), (190, 20), (190, 20)]


def test_a_column_that_another_month_adds_meanwhile_in_another_type_is_named(
    postgres: PostgresConfig, tmp_path: Path
) -> None:
    gate = Gate()
    numbers = month_files(tmp_path, month="2020-01", extra={"peak": pa.array(range(20))})
    texts = month_files(tmp_path, month="2020-02", extra={"peak": pa.array(["high"] * 20)})
    with ThreadPoolExecutor() as pool:
        loading = pool.submit(Postgres(postgres).replace_month, RefinedMonth.of(numbers), RUN, gate)
        assert gate.reached.wait(30)
        Postgres(postgres).replace_month(RefinedMonth.of(texts), RUN)
        gate.opened.set()
        with pytest.raises(SchemaError, match=r"the column peak was loaded as bigint, .* as text: run"):
            loading.result()
    assert query(postgres, "SELECT DISTINCT month, peak FROM trips_green") == [
        (texts.month.first_day, "high")
    ]


def test_a_reader_sees_one_whole_version_whenever_it_looks(postgres: PostgresConfig, tmp_path: Path) -> None:
    versions = {"odd": (11, 3), "even": (24, 0)}
    sql = """
        SELECT max(version), count(*) FILTER (WHERE part = 'trips' AND source_version = version),
               count(*) FILTER (WHERE part = 'quarantine' AND source_version = version), count(*)
        FROM ledger_current, (
            SELECT 'trips' AS part, source_version FROM trips_green WHERE month = '2020-04-01'
            UNION ALL SELECT 'quarantine', source_version FROM quarantine_green WHERE month = '2020-04-01'
        ) AS rows
    """
    finished, seen = threading.Event(), []

    def read() -> None:
        with session(postgres) as connection:
            while not finished.is_set():
                seen.append(ask(connection, sql)[0])

    def files(version: str, turn: int) -> MonthFiles:
        trips, quarantined = versions[version]
        return month_files(tmp_path / str(turn), version, trips=trips, quarantined=quarantined)

    Postgres(postgres).replace_month(RefinedMonth.of(files("even", 0)), RUN)
    with ThreadPoolExecutor() as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for turn in range(1, 13):
            Postgres(postgres).replace_month(RefinedMonth.of(files("odd" if turn % 2 else "even", turn)), RUN)
        finished.set()
        for reader in readers:
            reader.result()
    whole = {(version, *counts, sum(counts)) for version, counts in versions.items()}
    assert set(seen) == whole


def test_a_transaction_that_began_before_sees_the_whole_month(
    postgres: PostgresConfig, tmp_path: Path
) -> None:
    """Rows written after its snapshot would be invisible to it, and the month empty, were they not frozen."""
    Postgres(postgres).replace_month(RefinedMonth.of(month_files(tmp_path, "v1", trips=5)), RUN)
    with session(postgres) as reader:
        reader.autocommit = False
        reader.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_REPEATABLE_READ)
        ask(reader, "SELECT count(*) FROM ledger")  # takes the snapshot
        Postgres(postgres).replace_month(RefinedMonth.of(month_files(tmp_path, "v2", trips=8)), RUN)
        assert ask(reader, "SELECT source_version, count(*) FROM trips_green GROUP BY 1") == [("v2", 8)]


def test_a_slow_reader_delays_the_swap_but_not_other_readers(
    postgres: PostgresConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", "100ms")
    Postgres(postgres).replace_month(RefinedMonth.of(month_files(tmp_path, "v1", trips=5)), RUN)
    with ThreadPoolExecutor() as pool, session(postgres) as slow, session(postgres) as quick:
        ask(slow, "BEGIN; SELECT count(*) FROM trips_green")
        loading = pool.submit(
            Postgres(postgres).replace_month, RefinedMonth.of(month_files(tmp_path, "v2", trips=8)), RUN
        )
        until(lambda: waiting(postgres, "relation") == 1)
        ask(
            quick, "SET statement_timeout TO '20s'"
        )  # far more than an attempt, far less than the slow reader
        assert ask(quick, "SELECT count(*) FROM trips_green") == [(5,)]
        assert not loading.done()
        ask(slow, "COMMIT")
        assert loading.result().version == "v2"
    assert query(postgres, "SELECT count(*) FROM trips_green") == [(8,)]


@pytest.mark.parametrize("month", ["2020-03", "2020-04"], ids=["replaces a month", "adds a column"])
def test_the_swap_takes_its_strongest_lock_first(
    postgres: PostgresConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, month: str
) -> None:
    """Two sessions that hold a weaker lock and want a stronger one would wait for each other."""
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", "30s")
    Postgres(postgres).replace_month(RefinedMonth.of(month_files(tmp_path, "v1", month="2020-03")), RUN)
    extra = {"peak": pa.array(range(20))} if month == "2020-04" else {}
    held: list[tuple[str, bool]] = []

    def waits_for_readers() -> bool:
        held[:] = query(
            postgres,
            "SELECT mode, granted FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE application_name = 'nyc_taxi' AND relation = 'trips_green'::regclass",
        )
        return any(not granted for _, granted in held)

    with ThreadPoolExecutor() as pool, session(postgres) as slow:
        ask(slow, "BEGIN; SELECT count(*) FROM trips_green")
        files = month_files(tmp_path, "v2", month=month, extra=extra)
        loading = pool.submit(Postgres(postgres).replace_month, RefinedMonth.of(files), RUN)
        until(waits_for_readers)
        ask(slow, "COMMIT")
        assert loading.result().version == "v2"
    assert held == [("AccessExclusiveLock", False)]


def test_a_swap_asks_for_all_its_locks_at_once(
    postgres: PostgresConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers of the first table wait while it waits for the last: one timeout holds for all."""
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", "30s")
    Postgres(postgres).replace_month(RefinedMonth.of(month_files(tmp_path, "v1")), RUN)
    with ThreadPoolExecutor() as pool, session(postgres) as slow:
        ask(slow, "BEGIN; SELECT count(*) FROM quarantine_green")
        month = RefinedMonth.of(month_files(tmp_path, "v2"))
        loading = pool.submit(Postgres(postgres).replace_month, month, RUN)
        until(lambda: waiting(postgres, "relation") == 1)
        (statement,) = query(
            postgres,
            "SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'LOCK%'",
        )
        ask(slow, "COMMIT")
        assert loading.result().version == "v2"
    tables = ("trips_green", "trips_green_2020_04", "quarantine_green", "quarantine_green_2020_04")
    names = ", ".join(f'ONLY "{table}"' for table in tables)
    assert statement == (f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE",)


def test_a_first_month_does_not_wait_for_readers(postgres: PostgresConfig, tmp_path: Path) -> None:
    Postgres(postgres).replace_month(RefinedMonth.of(month_files(tmp_path, month="2020-03")), RUN)
    with session(postgres) as slow:
        ask(slow, "BEGIN; SELECT count(*) FROM trips_green")
        with transaction(postgres) as connection:
            replace.replace_month(
                connection, "taxi", RefinedMonth.of(month_files(tmp_path)), RUN, patience=0.1
            )
    assert query(postgres, "SELECT count(*) FROM trips_green") == [(40,)]


def test_patience_with_readers_ends(
    postgres: PostgresConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", "50ms")
    stamina.instrumentation.set_on_retry_hooks(None)  # as libraries log, not as the command line does
    Postgres(postgres).replace_month(RefinedMonth.of(month_files(tmp_path, "v1")), RUN)
    before = state(postgres)
    with session(postgres) as slow:
        ask(slow, "BEGIN; SELECT count(*) FROM trips_green")
        with (
            pytest.raises(LockTimeout, match="other sessions hold locks on the green tables"),
            transaction(postgres) as connection,
        ):
            replace.replace_month(
                connection,
                "taxi",
                RefinedMonth.of(month_files(tmp_path, "v2")),
                RUN,
                patience=2,
            )
    assert state(postgres) == before
    retried = [vars(record) for record in caplog.records if record.name == "stamina"]
    assert retried
    for each in retried:
        assert each["stamina.caused_by"].startswith("LockTimeout('other sessions hold locks")
        assert "SQL" not in str(each)
