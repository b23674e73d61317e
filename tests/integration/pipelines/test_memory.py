"""A month larger than memory is worked through in parts."""

import subprocess
import sys
from pathlib import Path

import pytest

from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import PROJECT
from tests.support.transforms import write_transform

ROWS = 1_400_000
MOST_MEGABYTES = 400
MOST_MEGABYTES_WITH_PANDAS = 500

MINUTES = """
trips = trips[trips["passenger_count"] > 0]
trips["minutes"] = (trips["dropoff_datetime"] - trips["pickup_datetime"]).dt.total_seconds() / 60
return trips
"""

CLEAN = """
import sys
from pathlib import Path
from nyc_taxi.cli.pandas_import import keep_pandas_out
keep_pandas_out()
from nyc_taxi.model.months import Service
from nyc_taxi.transform.derive import derive_month
from nyc_taxi.transform.parquet import write_month
from nyc_taxi.transform.user.source import load_transform
from tests.support.builders import cleaned, project_rules, source_file
from tests.support.memory import peak_megabytes

path, rules = Path(sys.argv[1]), project_rules(Service.YELLOW)
month = cleaned(source_file(path, Service.YELLOW, "2021-01"), path.parent / "scratch", rules, threads=2)
transform = load_transform(Path(sys.argv[2]))
if transform:
    month = derive_month(month, rules, transform)
files = write_month(month, rules, path.parent / "files")
print(files.rows_in, files.trips + files.rows_quarantined, peak_megabytes())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "limit"), [("return trips", MOST_MEGABYTES), (MINUTES, MOST_MEGABYTES_WITH_PANDAS)]
)
def test_a_month_of_more_than_a_million_rows_needs_little_memory(
    tmp_path: Path, body: str, limit: int
) -> None:
    path = tmp_path / "yellow_tripdata_2021-01.csv"
    samples.write(Service.YELLOW, Month(2021, 1), path, rows=ROWS)
    transform = write_transform(tmp_path / "derive_trips.py", body)
    command = [sys.executable, "-c", CLEAN, str(path), str(transform)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT)
    rows_in, rows_out, megabytes = (int(word) for word in done.stdout.split())
    assert rows_in == rows_out == ROWS
    assert megabytes < limit


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Arrow's default stays")
def test_arrow_takes_its_memory_from_where_little_is_kept() -> None:
    code = "import nyc_taxi, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("jemalloc\n", "")
