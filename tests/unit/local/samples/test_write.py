"""The same bytes every time, in bounded memory, all or nothing, and looking like New York."""

import hashlib
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nyc_taxi.errors import SettingsError
from nyc_taxi.local.samples import write
from nyc_taxi.model.months import Month, Service

JANUARY = Month(2021, 1)


def in_process(call: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a call of `write` in a process of its own, which then prints its peak memory in MB."""
    code = (
        "from pathlib import Path; from nyc_taxi.model.months import Month, Service; "
        f"from nyc_taxi.local.samples import write; {call}; "
        "from tests.support.memory import peak_megabytes; print(peak_megabytes())"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **how)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
@pytest.mark.parametrize("service", list(Service))
def test_same_arguments_same_bytes(service: Service, ending: str, tmp_path: Path) -> None:
    one, again, other = (tmp_path / f"{name}.{ending}" for name in ("one", "again", "other"))
    first = write(service, JANUARY, one, rows=3000)
    assert write(service, JANUARY, again, rows=3000) == first
    assert digest(again) == digest(one)
    write(service, JANUARY, other, rows=3000, seed=2)
    assert digest(other) != digest(one)


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    write(Service.GREEN, JANUARY, tmp_path / "one.csv.gz", rows=3000)
    two = tmp_path / "two.csv.gz"
    done = in_process(f"write(Service.GREEN, Month(2021, 1), Path({str(two)!r}), rows=3000)")
    assert done.returncode == 0, done.stderr
    assert digest(tmp_path / "two.csv.gz") == digest(tmp_path / "one.csv.gz")


@pytest.mark.parametrize("service", list(Service))
def test_default_rows(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    expected = write(service, Month(2020, 2), path)
    assert 10_000 <= expected.rows <= 100_000
    assert path.read_bytes().count(b"\n") == expected.rows + 1


@pytest.mark.parametrize("name", ["x.csv.gz", "x.parquet"])
def test_memory_does_not_grow_with_the_rows(name: str, tmp_path: Path) -> None:
    path = str(tmp_path / name)
    done = in_process(f"write(Service.YELLOW, Month(2025, 2), Path({path!r}), rows=1_200_000)")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 350  # MB; all rows at once would take more than 1000


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    write(Service.YELLOW, JANUARY, path, rows=1000)
    before = digest(path)

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    call = f"write(Service.YELLOW, Month(2021, 1), Path({str(path)!r}), rows=100_000)"
    done = in_process(call, preexec_fn=limit)
    assert done.returncode == 1
    assert "SettingsError" in done.stderr
    assert f"{path}: the sample cannot be written (File too large)" in done.stderr
    assert digest(path) == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("x.txt", {}, "must end in .csv, .csv.gz or .parquet"),
        ("x.csv", {"rows": 0}, "rows=0 is not valid"),
        ("x.csv", {"rows": 10**9}, "rows=1000000000 is not valid"),
        ("x.csv", {"seed": -1}, "seed=-1 is negative"),
        ("x.csv", {"rows": 10, "malformed": 6}, "malformed=6 of 10 rows"),
        ("x.csv", {"malformed": -1}, "malformed=-1 of"),
    ],
)
def test_nonsense_is_refused(name: str, options: dict[str, int], message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=message):
        write(Service.YELLOW, JANUARY, tmp_path / name, **options)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("")
    with pytest.raises(SettingsError, match=r"x\.csv: the sample cannot be written"):
        write(Service.YELLOW, JANUARY, tmp_path / "folder" / "x.csv", rows=10)


def test_folders_are_made(tmp_path: Path) -> None:
    write(Service.YELLOW, JANUARY, tmp_path / "a" / "b" / "x.parquet", rows=10)
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["x.parquet"]


@pytest.fixture(scope="module")
def yellow(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("yellow") / "x.parquet"
    write(Service.YELLOW, Month(2025, 2), path, rows=40_000, quirks=False)
    return pd.read_parquet(path)


def test_days_have_a_rhythm(yellow: pd.DataFrame) -> None:
    hour = yellow["tpep_pickup_datetime"].dt.hour.value_counts()
    assert hour[18] > 5 * hour[4]
    day = yellow.groupby(yellow["tpep_pickup_datetime"].dt.dayofweek).size()
    assert day[4] > day[6]
    assert yellow["tpep_pickup_datetime"].dt.date.nunique() == 28


def test_amounts_follow_the_trip(yellow: pd.DataFrame) -> None:
    metered = yellow[yellow["RatecodeID"] == 1]
    assert metered["trip_distance"].corr(metered["fare_amount"]) > 0.9
    assert 1.2 < yellow["trip_distance"].median() < 2.5
    assert 10 < yellow["fare_amount"].median() < 16
    assert set(yellow["fare_amount"][yellow["RatecodeID"] == 2]) == {70.0}
    assert (yellow["tip_amount"][yellow["payment_type"] != 1] == 0).all()
    assert 0.1 < yellow["tip_amount"].sum() / yellow["total_amount"].sum() < 0.25
    assert 0.8 < (yellow["payment_type"] == 1).mean() < 0.9


def test_the_total_is_the_sum_of_its_parts(yellow: pd.DataFrame) -> None:
    parts = ["fare_amount", "extra", "mta_tax", "tip_amount", "tolls_amount", "improvement_surcharge"]
    later = ["congestion_surcharge", "Airport_fee", "cbd_congestion_fee"]
    total = yellow[parts + later].sum(axis=1)
    within = yellow["congestion_surcharge"].where(yellow["VendorID"] == 1, 0)  # CMT has it in extra too
    assert ((total - within - yellow["total_amount"]).abs() < 0.005).all()


def test_few_zones_have_most_trips(yellow: pd.DataFrame) -> None:
    share = yellow["PULocationID"].value_counts(normalize=True)
    assert 0.03 < share.iloc[0] < 0.1
    assert share.iloc[:50].sum() > 0.75
    assert yellow["PULocationID"].between(1, 263).all()
