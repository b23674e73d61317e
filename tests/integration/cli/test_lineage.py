"""OpenLineage events of a run, as a receiver and a file get them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from nyc_taxi.load.registry import open_destination
from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import load_settings
from tests.integration.cli.test_telemetry import run


@pytest.fixture
def month(tmp_path: Path) -> samples.Expected:
    return samples.write(Service.GREEN, Month(2020, 4), tmp_path / "green_tripdata_2020-04.csv.gz", rows=500)


def check_event(event: dict[str, Any]) -> None:
    """Raise unless the event has what https://openlineage.io/spec/2-0-2/OpenLineage.json requires."""
    assert {"eventTime", "producer", "schemaURL", "run", "job"} <= event.keys()
    assert event["eventType"] in ("START", "COMPLETE", "FAIL")
    uuid.UUID(event["run"]["runId"])
    for named in (event["job"], *event["inputs"], *event["outputs"]):
        assert named["namespace"]
        assert named["name"]
    for facet in facets(event):
        assert facet["_producer"].startswith("urn:nyc-taxi:")
        assert facet["_schemaURL"].startswith("https://openlineage.io/spec/facets/")


def facets(value: Any) -> Iterator[dict[str, Any]]:
    """All facets of an event."""
    for name, part in value.items() if isinstance(value, dict) else ():
        if name in ("facets", "inputFacets", "outputFacets"):
            yield from part.values()
        for each in part if isinstance(part, list) else [part]:
            yield from facets(each)


def test_a_receiver_gets_file_version_and_table(
    tmp_path: Path, month: samples.Expected, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/api/v1/lineage", method="POST").respond_with_data(status=201)
    assert run(tmp_path, OPENLINEAGE_URL=httpserver.url_for("")).returncode == 0
    received = [request.get_json() for request, _ in httpserver.log]
    for event in received:
        check_event(event)
    ends = {event["job"]["name"]: event for event in received if event["eventType"] == "COMPLETE"}
    starts = {event["job"]["name"]: event for event in received if event["eventType"] == "START"}
    assert ends.keys() == starts.keys() == {"refine.green", "load.duckdb.green"}
    runs = [event["run"]["facets"] for event in received]
    assert len({each["parent"]["run"]["runId"] for each in runs}) == 1
    periods = {
        (each["nominalTime"]["nominalStartTime"], each["nominalTime"]["nominalEndTime"]) for each in runs
    }
    assert periods == {("2020-04-01T00:00:00Z", "2020-05-01T00:00:00Z")}

    refine, load = ends["refine.green"], ends["load.duckdb.green"]
    [raw], [written] = refine["inputs"], refine["outputs"]
    assert Path(raw["name"]).name == "green_tripdata_2020-04.csv.gz"
    assert raw["inputFacets"]["inputStatistics"]["rowCount"] == month.rows
    [version], [table] = load["inputs"], load["outputs"]
    assert (version["namespace"], version["name"]) == (written["namespace"], written["name"])
    assert Path(version["name"]).is_file()
    rules = version["inputFacets"]["dataQualityAssertions"]["assertions"]
    rows = table["outputFacets"]["outputStatistics"]["rowCount"]
    assert rows == month.rows - sum(int(rule["actual"]) for rule in rules)
    assert table["name"].endswith("warehouse.duckdb/taxi.trips_green")
    assert {"name": "trip_distance", "type": "float64"}.items() <= next(
        field.items() for field in table["facets"]["schema"]["fields"] if field["name"] == "trip_distance"
    )


@pytest.mark.parametrize(
    ("destination", "variables", "named"),
    [
        (
            "bigquery",
            {"BIGQUERY_DATASET": "rides", "GOOGLE_CLOUD_PROJECT": "town"},
            ("bigquery", "town.rides.trips_green"),
        ),
        (
            "postgres",
            {"POSTGRES_HOST": "db.example.org", "POSTGRES_DBNAME": "town", "POSTGRES_SCHEMA": "rides"},
            ("postgres://db.example.org:5432", "town.rides.trips_green"),
        ),
    ],
)
def test_tables_are_named_as_openlineage_names_them(
    destination: str, variables: dict[str, str], named: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    opened = open_destination(destination, load_settings())
    assert opened.dataset(Service.GREEN, Month(2020, 4)) == named


def test_a_failed_load_is_an_event_with_the_error(tmp_path: Path, month: samples.Expected) -> None:
    file = tmp_path / "lineage.json"
    failed = run(
        tmp_path,
        DUCKDB_DATABASE=str(tmp_path),  # a folder
        OPENLINEAGE__TRANSPORT__TYPE="file",
        OPENLINEAGE__TRANSPORT__LOG_FILE_PATH=str(file),
        OPENLINEAGE__TRANSPORT__APPEND="true",
    )
    assert failed.returncode == 1
    events = [json.loads(line) for line in file.read_text().splitlines()]
    [end] = [event for event in events if event["eventType"] == "FAIL"]
    check_event(end)
    assert end["job"]["name"] == "load.duckdb.green"
    assert str(tmp_path) in end["run"]["facets"]["errorMessage"]["message"]


def test_a_receiver_that_is_gone_delays_a_run_once(tmp_path: Path, month: samples.Expected) -> None:
    done = run(tmp_path, OPENLINEAGE_URL="http://127.0.0.1:9")
    assert done.returncode == 0
    assert done.stderr.count("was not sent") == 1, "of four events"
    assert "Retrying" not in done.stderr


def test_a_receiver_that_refuses_an_event_gets_the_others(
    tmp_path: Path, month: samples.Expected, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/api/v1/lineage", method="POST").respond_with_data(status=422)
    done = run(tmp_path, OPENLINEAGE_URL=httpserver.url_for(""))
    assert done.returncode == 0
    assert len(httpserver.log) == done.stderr.count("was not sent") == 4
