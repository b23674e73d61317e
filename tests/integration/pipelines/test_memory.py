"""A month larger than memory is worked through in parts."""

import subprocess
import sys
from pathlib import Path

import pytest

from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import PROJECT

ROWS = 1_400_000
MOST_MEGABYTES = 400

CLEAN = """
import sys
from pathlib import Path
from nyc_taxi.cli import keep_pandas_out
keep_pandas_out()
from nyc_taxi.model.months import Service
from tests.support.builders import parquet_month, source_file
from tests.support.memory import peak_megabytes

path = Path(sys.argv[1])
files = parquet_month(source_file(path, Service.YELLOW, "2021-01"), path.parent, threads=2)
print(files.rows_in, files.trips + files.rows_quarantined, peak_megabytes())
"""


@pytest.mark.slow
def test_a_month_of_more_than_a_million_rows_needs_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "yellow_tripdata_2021-01.csv"
    samples.write(Service.YELLOW, Month(2021, 1), path, rows=ROWS)
    command = [sys.executable, "-c", CLEAN, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT)
    rows_in, rows_out, megabytes = (int(word) for word in done.stdout.split())
    assert rows_in == rows_out == ROWS
    assert megabytes < MOST_MEGABYTES


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Arrow's default stays")
def test_arrow_takes_its_memory_from_where_little_is_kept() -> None:
    code = "import nyc_taxi, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("jemalloc\n", "")
