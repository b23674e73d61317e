"""Files made to fill memory or disk are refused in one sentence, soon and in little memory."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nyc_taxi.settings import PROJECT
from tests.support import hostile

MOST_MEGABYTES = 500
HANGS = 120
"""Seconds after which a test gives up: about 5 pass on an idle machine."""

BRING_AND_CLEAN = """
import sys
from pathlib import Path
from nyc_taxi.cli.pandas_import import keep_pandas_out
keep_pandas_out()
from nyc_taxi.errors import TaxiError
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.model.run import Run, RunContext
from nyc_taxi.pipelines.trips.run import run_month
from nyc_taxi.settings import load_settings
from tests.support.memory import peak_megabytes

request = LoadRequest(Service.GREEN, Month(2020, 4), sys.argv[1], ("duckdb",))
try:
    run_month(request, RunContext(load_settings(), Run.new("cli")))
    print(peak_megabytes(), "loaded")
except TaxiError as error:
    print(peak_megabytes(), str(error))
"""


def load(path: Path) -> tuple[int, str]:
    """Peak memory in MB of a process that loads the file, and its last line."""
    command = [sys.executable, "-c", BRING_AND_CLEAN, str(path)]
    environment = {"TAXI_WORKSPACE": str(path.parent / "workspace"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=PROJECT, env=environment, timeout=HANGS, check=False
    )
    unknown = "has a column that the schema does not know"
    warnings = [line for line in done.stderr.splitlines() if unknown not in line]
    assert (done.returncode, warnings) == (0, [])
    # DuckDB shows its progress where Python runs code from the command line
    megabytes, sentence = done.stdout.splitlines()[-1].split(" ", 1)
    return int(megabytes), sentence


@pytest.mark.parametrize("shape", hostile.SHAPES)
def test_a_file_made_to_fill_memory_is_refused(tmp_path: Path, shape: str) -> None:
    ending, write, expected = hostile.SHAPES[shape]
    megabytes, sentence = load(write(tmp_path / f"trips.{ending}"))
    assert re.search(expected, sentence)
    assert megabytes < MOST_MEGABYTES


@pytest.mark.slow
def test_two_gigabytes_without_an_end_of_a_line_are_refused(tmp_path: Path) -> None:
    path = hostile.text(tmp_path / "trips.csv", hostile.HEADER, b"a", 2000)
    try:
        megabytes, sentence = load(path)
    finally:
        path.unlink()
    assert "has a line of more than 4 kB" in sentence
    assert megabytes < MOST_MEGABYTES


@pytest.mark.slow
def test_as_many_columns_as_a_file_may_have_are_loaded_in_little_memory(tmp_path: Path) -> None:
    megabytes, sentence = load(hostile.random_doubles(tmp_path / "trips.parquet", 600_000))
    assert sentence == "loaded"
    assert megabytes < MOST_MEGABYTES
