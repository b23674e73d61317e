"""`taxi` as people type it: in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from tests.support.servers import Fault, serve
from tests.support.waiting import until

TAXI = Path(sys.executable).with_name("taxi")
BROKEN = {
    "html_page.csv.gz": "HTML page",
    "git_lfs_pointer.csv": "git LFS pointer",
    "s3_access_denied.csv": "AccessDenied",
    "s3_access_denied.parquet": "AccessDenied",
    "spreadsheet_mangled_dates.csv": "'1/1/2021 0:30', which is no time",
    "truncated.csv.gz": "truncated gzip",
    "truncated.parquet": "truncated Parquet",
}


def taxi(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command with a workspace and a warehouse below the folder, and no other destination."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TAXI_")}
    environment |= {
        "TAXI_WORKSPACE": str(folder / "workspace"),
        "TAXI_DESTINATIONS": "duckdb",
        "DUCKDB_DATABASE": str(folder / "warehouse.duckdb"),
        **variables,
    }
    return subprocess.run([TAXI, *arguments], capture_output=True, text=True, env=environment, check=False)


def test_a_month_is_run_shown_and_found_again(tmp_path: Path) -> None:
    source = tmp_path / "green_tripdata_2020-04.csv.gz"
    expected = samples.write(Service.GREEN, Month(2020, 4), source, rows=500)
    first = taxi(tmp_path, "run", "green", "2020-04", "--source", str(source))
    assert first.returncode == 0, first.stderr
    assert f"Rows in      {expected.rows:,}" in first.stdout
    assert "trip_distance" in first.stdout, "it shows a few trips"
    second = taxi(tmp_path, "run", "green", "2020-04", "--source", str(source))
    assert "already up to date; nothing was loaded" in second.stdout
    assert "trip_distance" not in second.stdout
    (month,) = json.loads(taxi(tmp_path, "status", "--json").stdout)
    row = month["destinations"]["duckdb"]
    assert row["rows_in"] == row["rows_loaded"] + row["rows_quarantined"] == expected.rows
    assert "2020-04-" in taxi(tmp_path, "preview", "green", "2020-04", "--rows", "3").stdout
    picture = tmp_path / "quality.png"
    assert taxi(tmp_path, "quality", "green", "2020-04", "--picture", str(picture)).returncode == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_run_that_finds_its_month_loaded_does_not_import_arrow(tmp_path: Path) -> None:
    """Arrow and numpy take a quarter of a second to import, a third of such a run."""
    source = tmp_path / "green_tripdata_2020-04.csv.gz"
    samples.write(Service.GREEN, Month(2020, 4), source, rows=500)
    command = ("run", "green", "2020-04", "--source", str(source))
    for imported in ({"numpy", "pyarrow"}, set()):
        done = taxi(tmp_path, *command, PYTHONPROFILEIMPORTTIME="1")
        assert done.returncode == 0, done.stderr
        modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert "nyc_taxi.settings" in modules
        assert {"numpy", "pyarrow"} & modules == imported


def test_a_sample_has_the_usual_number_of_rows_of_its_service(tmp_path: Path) -> None:
    path, usual = tmp_path / "sample.parquet", tmp_path / "usual.parquet"
    done = taxi(tmp_path, "sample", "green", "2022-01", str(path))
    expected = samples.write(Service.GREEN, Month(2022, 1), usual)
    assert f"{expected.rows:,} rows of a generated green 2022-01" in done.stdout
    assert path.read_bytes() == usual.read_bytes()


def test_mistakes_get_one_sentence_and_an_exit_code(tmp_path: Path) -> None:
    for arguments, sentence in {
        ("run", "purple", "2020-04"): "service 'purple' is not known: use one of yellow, green, fhv, fhvhv.",
        ("run", "green", "April"): "month 'April' is not a month: write it as 2020-04.",
        ("run", "green", "2020-04", "--to", "oracle"): "destinations 'oracle': use auto, or one or more of",
        ("run", "green", "2020-04", "--source", "nowhere"): "source 'nowhere' is not known",
        ("preview", "green", "2020-04"): "green 2020-04 is not in the workspace",
    }.items():
        done = taxi(tmp_path, *arguments)
        assert done.returncode == 1, arguments
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


def test_a_wait_before_the_next_attempt_is_said_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    source = tmp_path / "green_tripdata_2020-04.csv.gz"
    samples.write(Service.GREEN, Month(2020, 4), source, rows=300)
    with serve() as server:
        url = server.put(f"/{source.name}", source.read_bytes())
        server.plan = [Fault(status=503, headers={"Retry-After": "1"})]
        done = taxi(tmp_path, "run", "green", "2020-04", "--source", url)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Trying again in 1 s: .*503", " ".join(done.stderr.split()))


def test_options_have_their_help() -> None:
    shown = subprocess.run([TAXI, "run", "--help"], capture_output=True, text=True, check=True).stdout
    assert "--source" in shown
    assert "a folder, a file or a URL" in shown


@pytest.mark.real
@pytest.mark.parametrize("name", list(BROKEN))
def test_broken_files_load_nothing_and_leave_nothing(tmp_path: Path, real_data: Path, name: str) -> None:
    done = taxi(tmp_path, "run", "yellow", "2021-01", "--source", str(real_data / "broken" / name))
    assert done.returncode == 1
    assert BROKEN[name] in done.stderr
    assert "Traceback" not in done.stderr
    left = [
        path for path in (tmp_path / "workspace").rglob("*") if path.suffix in (".parquet", ".arrow", ".gz")
    ]
    assert left == []
    if (tmp_path / "warehouse.duckdb").exists():
        with duckdb.connect(tmp_path / "warehouse.duckdb", read_only=True) as warehouse:
            assert warehouse.execute("SELECT count(*) FROM taxi.ledger").fetchone() == (0,)


@pytest.mark.parametrize("while_importing", [True, False])
def test_ctrl_c_leaves_at_once_and_says_so(tmp_path: Path, while_importing: bool) -> None:
    if while_importing and sys.platform != "linux":
        pytest.skip("what a process has imported is asked of /proc")
    source = tmp_path / "green_tripdata_2020-04.csv.gz"
    samples.write(Service.GREEN, Month(2020, 4), source, rows=100_000)
    workspace, warehouse = tmp_path / "workspace", tmp_path / "warehouse.duckdb"
    environment = {**os.environ, "TAXI_WORKSPACE": str(workspace), "DUCKDB_DATABASE": str(warehouse)}
    arguments = ["run", "green", "2020-04", "--source", str(source), "--to", "duckdb"]
    with subprocess.Popen([TAXI, *arguments], env=environment, stderr=subprocess.PIPE, text=True) as process:
        libraries = Path(f"/proc/{process.pid}/maps")
        if while_importing:
            until(lambda: "arrow" in libraries.read_text())
        else:
            until(lambda: any((workspace / "scratch").glob("*")))
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.endswith("Stopped. No month is half loaded; the next run continues.\n")
    assert taxi(tmp_path, *arguments).returncode == 0
