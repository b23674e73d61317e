"""What trips and bike-share share of a warehouse: transactions, parameters, and loads that begin again."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from nyc_taxi.errors import DestinationError, LockTimeout
from nyc_taxi.load.warehouse.duckdb.config import DuckDbConfig
from nyc_taxi.load.warehouse.duckdb.engine import DuckDbEngine
from nyc_taxi.load.warehouse.engine import Assertion, retry_load
from nyc_taxi.model.run import Run
from nyc_taxi.retry import RetryPolicy
from nyc_taxi.schema import Column
from nyc_taxi.schema.tables import Table

RUN = Run("run-1", "cli")
TABLE = Table("t", "A table.", (Column("date", "date", "Day."),), (Column("name", "string", "Name."),))


@pytest.fixture
def engine(tmp_path: Path) -> DuckDbEngine:
    return DuckDbEngine(DuckDbConfig(tmp_path / "warehouse.duckdb"), "test")


@pytest.fixture
def no_pauses() -> Iterator[None]:
    stamina.set_testing(True, attempts=100, cap=True)
    yield
    stamina.set_testing(False)


def test_a_table_that_does_not_exist_yet_has_no_rows(engine: DuckDbEngine) -> None:
    query = f"SELECT * FROM {engine.qualified('t')}"
    assert engine.rows(query, {}, optional="t") == []
    engine.create([TABLE])
    assert engine.rows(query, {}) == []
    with pytest.raises(DestinationError, match="missing"):
        engine.rows(f"SELECT * FROM {engine.qualified('missing')}", {})


def test_parameters_are_values_whatever_is_in_them(engine: DuckDbEngine) -> None:
    values = {
        "name": "o'Hara @name_1 $1 \\ \n",
        "name_1": None,
        "n": -1,
        "day": dt.date(2018, 1, 1),
        "at": dt.datetime(2018, 1, 1, 1, 2, 3, 4, tzinfo=dt.UTC),
    }
    engine.create([TABLE])
    [row] = engine.rows("SELECT @name AS name, @name_1 AS name_1, @n AS n, @day AS day, @at AS at", values)
    assert row == values


def test_an_assertion_that_does_not_hold_undoes_the_transaction(engine: DuckDbEngine) -> None:
    engine.create([TABLE])
    name = engine.qualified("t")
    insert = f"INSERT INTO {name} VALUES (@day, 'a')"
    count = f"(SELECT COUNT(*) FROM {name})"
    values = {"day": dt.date(2018, 1, 1)}
    engine.transact([insert, Assertion(f"{count} = 1", "it's wrong")], values, RUN, "first")
    with pytest.raises(DestinationError, match="it's wrong"):
        engine.transact([insert, Assertion(f"{count} = 1", "it's wrong")], values, RUN, "second")
    assert engine.rows(f"SELECT {count} AS n", {}) == [{"n": 1}]


def test_duckdb_does_not_import_pandas(tmp_path: Path) -> None:
    """It does at the first parameter that is bound, which takes half a second and 60 MB."""
    program = (
        "import sys, pathlib\n"
        "from nyc_taxi.load.warehouse.duckdb.config import DuckDbConfig\n"
        "from nyc_taxi.load.warehouse.duckdb.engine import DuckDbEngine\n"
        f"engine = DuckDbEngine(DuckDbConfig(pathlib.Path({str(tmp_path / 'a.duckdb')!r})), 'test')\n"
        "engine.create([])\n"
        "assert engine.rows('SELECT @a AS a', {'a': 'x'}) == [{'a': 'x'}]\n"
        "assert 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_load_begins_again_while_others_are_committed_first(no_pauses: None) -> None:
    conflicts = [LockTimeout("conflicting loads keep committing")] * 7

    def load() -> str:
        if conflicts:
            raise conflicts.pop()
        return "loaded"

    assert retry_load(RetryPolicy(attempts=1), load) == "loaded"


@pytest.mark.parametrize(
    ("transactions", "seconds"), [(7, 60), (7 * 2, 40)], ids=["months", "days of the bike-share"]
)
def test_the_last_of_eight_loads_is_patient_enough(
    monkeypatch: pytest.MonkeyPatch, transactions: int, seconds: float
) -> None:
    """All others are committed first, and up to 20 s pass between two of them."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.append(clock.pop() + seconds))

    def load() -> str:
        clock[0] += 5  # until the lock is refused
        if clock[0] < transactions * (seconds + 20):
            raise LockTimeout("conflicting changes keep committing")
        return "loaded"

    assert retry_load(RetryPolicy(attempts=1), load) == "loaded"


def test_the_time_before_the_first_conflict_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nyc_taxi.load.warehouse.engine.PATIENCE", 0.5)
    calls = []

    def load() -> str:
        calls.append(1)
        if len(calls) == 1:
            time.sleep(0.6)  # as a long upload
            raise LockTimeout("another load was committed first")
        return "loaded"

    assert retry_load(RetryPolicy(), load) == "loaded"
