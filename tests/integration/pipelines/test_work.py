"""The work that a month costs, counted: what is read, parsed and written once stays so."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run
from nyc_taxi.transform import judged
from nyc_taxi.transform.read.csv import CsvReader
from tests.support.runs import run_month
from tests.support.servers import FaultyServer

YELLOW, JANUARY = Service.YELLOW, Month(2021, 1)
ROWS = 30_000
NAME = "yellow_tripdata_2021-01.csv.gz"
RUN = Run("run-1", "cli")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Rows, call by call, of the functions that every row has to pass; threads append without a lock."""
    seen: dict[str, list[int]] = defaultdict(list)
    parse, slow, trips = CsvReader.parse, CsvReader._parse_text, judged._trips
    quarantine = judged._quarantine
    write = pq.ParquetWriter.write_table

    def counting_parse(self: CsvReader, block: bytes) -> Any:
        chunk = parse(self, block)
        seen["parsed"].append(chunk.rows_in)
        return chunk

    def counting_slow(self: CsvReader, block: bytes) -> Any:
        chunk = slow(self, block)
        seen["parsed slowly"].append(chunk.rows_in)
        return chunk

    def counting_trips(*arguments: Any) -> Any:
        built = trips(*arguments)
        seen["made trips"].append(len(built))
        return built

    def counting_quarantine(bad: Any, *others: Any) -> Any:
        seen["made quarantined rows"].append(len(bad))
        return quarantine(bad, *others)

    def counting_write(self: Any, table: Any, *others: Any, **options: Any) -> None:
        if "flags" in table.column_names:
            seen["written as Parquet"].append(len(table))
        write(self, table, *others, **options)

    monkeypatch.setattr(CsvReader, "parse", counting_parse)
    monkeypatch.setattr(CsvReader, "_parse_text", counting_slow)
    monkeypatch.setattr(judged, "_trips", counting_trips)
    monkeypatch.setattr(judged, "_quarantine", counting_quarantine)
    monkeypatch.setattr(pq.ParquetWriter, "write_table", counting_write)
    return seen


def test_every_row_is_handled_once(
    seen: dict[str, list[int]],
    server: FaultyServer,
    postgres: PostgresConfig,
    workspace: Path,
    tmp_path: Path,
) -> None:
    samples.write(YELLOW, JANUARY, tmp_path / NAME, rows=ROWS)
    data = (tmp_path / NAME).read_bytes()
    url = server.put(f"/{NAME}", data)
    files = run_month(YELLOW, JANUARY, url, ["postgres"], RUN).files
    assert files.rows_in == ROWS
    assert server.sent == len(data)
    assert {what: sum(rows) for what, rows in seen.items()} == {
        "parsed": ROWS,
        "made trips": 2 * files.trips,  # for the Parquet, and for the table that is loaded meanwhile
        "made quarantined rows": files.rows_quarantined - files.quarantined.get("unreadable", 0),
        "written as Parquet": files.trips,
    }
    run_month(YELLOW, JANUARY, url, ["postgres"], RUN)
    assert sum(seen["parsed"]) == ROWS
    assert server.sent == len(data)


SCRIPT = """
import sys
from nyc_taxi.cli import main
sys.argv = ["taxi", "run", "green", "2020-04", "--source", "sample:2000:1", "--to", "postgres,duckdb"]
try:
    main()
finally:
    print("imported:", *sorted(sys.modules), file=sys.stderr)
"""


def test_pandas_has_no_part_in_it(postgres: PostgresConfig, workspace: Path) -> None:
    """It costs half a second and 60 MB, and pyarrow as well as DuckDB import it unasked."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    imported = done.stderr.rpartition("imported:")[2].split()
    assert {"pyarrow", "duckdb", "psycopg2"} <= set(imported)
    assert not {"pandas", "google.auth", "google.api_core", "boto3", "matplotlib"} & set(imported)
