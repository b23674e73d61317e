"""What a run tells the outside: events in its log, metrics for a collector and for Prometheus."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.telemetry.events import Event

TAXI = Path(sys.executable).with_name("taxi")


@pytest.fixture
def month(tmp_path: Path) -> samples.Expected:
    return samples.write(Service.GREEN, Month(2020, 4), tmp_path / "green_tripdata_2020-04.csv.gz", rows=500)


def taxi(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("TAXI_", "OTEL_"))
    }
    environment |= {"TAXI_WORKSPACE": str(folder / "workspace"), "TAXI_DESTINATIONS": "duckdb", **settings}
    return subprocess.run([TAXI, *arguments], capture_output=True, text=True, env=environment, check=False)


def run(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return taxi(folder, "run", "green", "2020-04", "--source", str(folder), **settings)


def steps(stderr: str) -> dict[str | None, Event]:
    """The steps of a log, each line of which is an event."""
    events = [Event.model_validate_json(line) for line in stderr.splitlines()]
    return {event.step: event for event in events if event.taxi_event == "step"}


def test_each_step_is_one_line_of_json(tmp_path: Path, month: samples.Expected) -> None:
    first = steps(run(tmp_path, TAXI_LOG="json").stderr)
    assert list(first) == ["download", "clean", "parquet", "load"]
    assert len({event.run_id for event in first.values()}) == 1
    assert {event.orchestrator for event in first.values()} == {"cli"}
    assert {(event.service, event.month, event.status) for event in first.values()} == {
        ("green", "2020-04", "ok")
    }
    assert all(event.seconds is not None for event in first.values())
    assert first["download"].bytes == (tmp_path / "green_tripdata_2020-04.csv.gz").stat().st_size
    assert first["clean"].rows == month.rows
    assert first["clean"].quarantined
    assert first["load"].rows == month.rows - sum(first["clean"].quarantined.values())
    assert (first["load"].destination, first["load"].version) == ("duckdb", first["clean"].version)

    again = steps(run(tmp_path, TAXI_LOG="json").stderr)
    assert {name: event.status for name, event in again.items()} == {
        "download": "ok",
        "clean": "skipped",
        "load": "skipped",
    }


def test_a_failed_step_says_why(tmp_path: Path) -> None:
    failed = run(tmp_path, TAXI_LOG="json")
    assert failed.returncode == 1
    download = steps(failed.stderr)["download"]
    assert (download.status, download.severity) == ("failed", "ERROR")
    assert "green 2020-04" in (download.error or "")


def test_a_destination_that_fails_is_a_failed_load(tmp_path: Path, month: samples.Expected) -> None:
    failed = run(tmp_path, TAXI_LOG="json", DUCKDB_DATABASE=str(tmp_path))
    assert failed.returncode == 1
    load = steps(failed.stderr)["load"]
    assert (load.status, load.destination) == ("failed", "duckdb")
    assert str(tmp_path) in (load.error or "")


def test_log_lines_have_the_time_if_asked_for(tmp_path: Path, month: samples.Expected) -> None:
    run(tmp_path)
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S", run(tmp_path, TAXI_LOG="time").stderr)
    assert not re.match(r"\d{4}-", run(tmp_path).stderr)
    assert "TAXI_LOG='xml' is not valid" in run(tmp_path, TAXI_LOG="xml").stderr


def test_a_collector_receives_the_steps(
    tmp_path: Path, month: samples.Expected, httpserver: HTTPServer
) -> None:
    received = ExportMetricsServiceRequest()

    def receive(request: Request) -> Response:
        received.MergeFromString(request.get_data())
        return Response()

    httpserver.expect_request("/v1/metrics", method="POST").respond_with_handler(receive)
    assert run(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=httpserver.url_for("")).returncode == 0
    assert taxi(tmp_path, "metrics", OTEL_EXPORTER_OTLP_ENDPOINT=httpserver.url_for("")).returncode == 0
    metrics = {
        metric.name: metric
        for resource in received.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    rows = {attributes(point)["step"]: point.as_int for point in metrics["taxi.rows"].sum.data_points}
    quarantined = {
        attributes(point)["rule"]: point.as_int for point in metrics["taxi.rows.quarantined"].sum.data_points
    }
    assert rows["clean"] == month.rows == rows["load"] + sum(quarantined.values())
    seconds = {attributes(point)["step"] for point in metrics["taxi.step.seconds"].histogram.data_points}
    assert seconds == {"download", "clean", "parquet", "load"}
    units = {name: metrics[name].unit for name in ("taxi.step.seconds", "taxi.rows", "taxi.rows.quarantined")}
    assert units == {"taxi.step.seconds": "s", "taxi.rows": "{row}", "taxi.rows.quarantined": "{row}"}
    assert metrics["taxi.months.behind"].gauge.data_points[0].as_int > 12


def attributes(point: object) -> dict[str, str]:
    return {each.key: each.value.string_value for each in point.attributes}  # type: ignore[attr-defined]


def test_prometheus_reads_the_textfile(tmp_path: Path, month: samples.Expected) -> None:
    run(tmp_path)
    file = tmp_path / "taxi.prom"
    assert taxi(tmp_path, "metrics", "--textfile", str(file)).returncode == 0
    families = {family.name: family for family in text_string_to_metric_families(file.read_text())}
    assert all(family.documentation and family.type == "gauge" for family in families.values())
    behind = families["taxi_months_behind"].samples[0]
    assert behind.labels == {"destination": "duckdb", "service": "green"}
    assert behind.value > 12
    rows = {each.labels["kind"]: each.value for each in families["taxi_newest_month_rows"].samples}
    rules = families["taxi_newest_month_quarantined_rows"].samples
    assert rows["quarantined"] == sum(rule.value for rule in rules) > 0
    assert sum(rows.values()) == month.rows
    assert [path.name for path in tmp_path.glob("*.prom*")] == ["taxi.prom"]
    assert taxi(tmp_path, "metrics").stdout.splitlines() == file.read_text().splitlines()


def test_a_textfile_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    failed = taxi(tmp_path, "metrics", "--textfile", str(tmp_path / "missing" / "taxi.prom"))
    assert failed.returncode == 1
    assert "missing" in failed.stderr
