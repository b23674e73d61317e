"""`make run`, from its command to what it shows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest

from launchers.mage import run as command
from mage_project.utils.variables import run_context
from nyc_taxi.load.registry import open_destination
from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.pipelines.offline import choose_source
from nyc_taxi.pipelines.trips.clean import clean
from nyc_taxi.pipelines.trips.download import download
from nyc_taxi.pipelines.trips.load import load
from nyc_taxi.pipelines.trips.refine import to_parquet
from nyc_taxi.reporting.current_months import current_files
from nyc_taxi.settings import PROJECT, load_settings
from nyc_taxi.transform.refined import RefinedMonth


def start(environment, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "launchers.mage.run", *arguments],
        cwd=PROJECT,
        env={**os.environ, **environment, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(environment, *arguments):
    """Exit code and what was shown."""
    process = start(environment, *arguments)
    shown, _ = process.communicate(timeout=1800)  # a busy machine is slow
    return process.returncode, shown


@pytest.mark.mage
def test_a_month_is_loaded_and_the_second_time_skipped(environment, here):
    arguments = ("--service", "yellow", "--month", "2021-01", "--source", "sample:400:2")
    code, shown = run(environment, *arguments)
    assert code == 0, shown
    files = current_files(Service.YELLOW, Month(2021, 1), load_settings())
    for text in (
        "yellow 2021-01 (a generated sample, not TLC's data) from sample:400:2",
        "400",
        str(files.trips),
        *files.quarantined,
        str(files.trips_path),
        "SELECT * FROM taxi.trips_yellow WHERE month = '2021-01-01'",
        "Load into Postgres",
    ):
        assert text in shown
    assert "Load into S3" not in shown  # which is not configured
    assert "Traceback" not in shown
    assert len(shown.splitlines()) < 30, shown

    ledgers = [open_destination(name, load_settings()) for name in ("postgres", "gcs", "duckdb")]
    ids = {ledger.ledger_entry(Service.YELLOW, Month(2021, 1)).run_id for ledger in ledgers}
    assert len(ids) == 1, "one run has one id, wherever it loads"

    log = Path(environment["MAGE_DATA_DIR"], "logs", "run-yellow-2021-01.log")
    log.write_bytes(b"")
    code, shown = run(environment, *arguments)
    assert code == 0, shown
    assert shown.count("already up to date; nothing was loaded") == 3
    assert log.read_bytes() == b"", "Mage was started to load nothing"

    (load_settings().workspace / "warehouse.duckdb").unlink()
    code, shown = run(environment, *arguments)
    assert code == 0, shown
    assert "yellow 2021-01 is already Parquet" in shown
    assert shown.count("already up to date; nothing was loaded") == 2
    assert log.read_bytes()


@pytest.mark.mage
def test_a_file_that_cannot_be_read_is_told_by_what_is_wrong_with_it(environment, tmp_path):
    path = tmp_path / "green_tripdata_2020-06.csv"
    samples.write(Service.GREEN, Month(2020, 6), path, rows=20)
    path.write_text(re.sub(r"2020-(\d\d)-(\d\d) (\d\d:\d\d):\d\d", r"\1/\2/2020 \3", path.read_text()))
    code, shown = run(environment, "--service", "green", "--month", "2020-06", "--source", str(path))
    assert code == 1, shown
    _, sentence, _ = shown.splitlines()
    assert re.match(r"green_tripdata_2020-06.csv: \d+ of \d+ rows cannot be read \(the first: ", sentence)


@pytest.mark.mage
def test_a_failure_is_one_sentence_the_logs_name_and_an_exit_code(environment, tmp_path):
    code, shown = run(environment, "--service", "green", "--month", "2020-06", "--source", str(tmp_path))
    assert code == 1
    sentence, log = shown.splitlines()
    assert sentence.startswith("green 2020-06 does not exist: choose another month or source")
    assert log == f"Full log: {environment['MAGE_DATA_DIR']}/logs/run-green-2020-06.log"


def test_nonsense_is_refused_before_mage_starts(environment):
    code, shown = run(environment, "--service", "red", "--month", "2020-06")
    assert (code, shown) == (1, "service 'red' is not known: use one of yellow, green, fhv, fhvhv.\n")


@pytest.fixture
def stalling():
    """A server whose answers never come; `requested` is set when the first request arrives."""
    requested, enough = threading.Event(), threading.Event()

    class Stalling(BaseHTTPRequestHandler):
        def do_GET(self):
            requested.set()
            enough.wait()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Stalling)
    server.requested = requested  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever).start()
    yield server
    enough.set()
    server.shutdown()
    server.server_close()


@pytest.mark.mage
def test_ctrl_c_stops_mage_too(environment, stalling, request):
    url = f"http://127.0.0.1:{stalling.server_port}/green_tripdata_2020-06.csv.gz"
    process = start(environment, "--service", "green", "--month", "2020-06", "--source", url)
    request.addfinalizer(process.terminate)
    assert stalling.requested.wait(120)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=30)
    assert process.returncode == 130, shown
    assert "Stopped." in shown
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_ctrl_c_while_modules_are_imported_is_answered_too(monkeypatch, capsys):
    class Interrupted(types.ModuleType):
        def __getattr__(self, name):
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "launchers.mage.one_month", Interrupted("launchers.mage.one_month"))
    assert command.main([]) == 130
    assert capsys.readouterr().out == "Stopped. No month is half loaded; the next run continues.\n"


@pytest.fixture
def offline(here, monkeypatch):
    """TLC and the mirror are on a port of this machine where nobody listens."""
    monkeypatch.setenv("TAXI_TLC_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("TAXI_CSV_URL", "http://127.0.0.1:9")


def choose(month, source="auto", destinations=("postgres",)):
    request = LoadRequest(Service.GREEN, Month.parse(month), source, destinations)
    return choose_source(request, load_settings())


def test_without_network_a_generated_month_stands_in_and_is_called_so(offline):
    message = "No network access: loading a generated sample of green 2019-02, not TLC's data."
    assert choose("2019-02") == ("sample", message)


def test_a_source_that_was_named_is_never_replaced(offline, tmp_path):
    for source in ("tlc", "csv", "http://127.0.0.1:9/trips", str(tmp_path)):
        assert choose("2019-02", source) == (source, "")


def test_a_month_that_cannot_be_there_is_not_made_up(offline):
    for month in ("2013-07", "2199-01"):
        assert choose(month) == ("auto", "")


def test_without_network_a_file_fetched_earlier_is_used(offline):
    fetched = load_settings().workspace / "source" / "green" / "2019-03"
    fetched.mkdir(parents=True)
    (fetched / "green_tripdata_2019-03.csv.gz").touch()
    assert choose("2019-03") == ("auto", "")


@pytest.mark.parametrize(("destination", "number"), [("postgres", 4), ("duckdb", 6)])
def test_without_network_a_real_month_stays_as_it_is(offline, tmp_path, destination, number):
    month = Month(2019, number)
    samples.write(Service.GREEN, month, tmp_path / f"green_tripdata_{month}.csv", rows=100)
    published = download(Service.GREEN, month, str(tmp_path), load_settings())
    files = to_parquet(clean(published, load_settings()), load_settings())
    load(RefinedMonth.of(files), destination, run_context({}))
    source, shown = choose(str(month), destinations=("postgres", "duckdb"))
    assert source is None
    assert shown.startswith(f"No network access: green {month} remains as loaded on 20")
    assert str(tmp_path) in shown


def test_with_a_network_the_month_is_fetched(here, httpserver, monkeypatch):
    """Whatever the server says: a month that is not published is not replaced by a sample."""
    monkeypatch.setenv("TAXI_TLC_URL", httpserver.url_for("/"))
    monkeypatch.setenv("TAXI_CSV_URL", "http://127.0.0.1:9")
    assert choose("2019-05") == ("auto", "")
