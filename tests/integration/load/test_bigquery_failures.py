"""BigQuery that is not configured, not reachable, busy, or refuses: one sentence, and the right type."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import Unauthorized
from pytest_httpserver import HTTPServer
from werkzeug import Response

from nyc_taxi.errors import DestinationError, DestinationUnreachable, SettingsError
from nyc_taxi.load.warehouse.bigquery.client import quoted
from nyc_taxi.load.warehouse.bigquery.config import BigQueryConfig
from nyc_taxi.load.warehouse.bigquery.errors import (
    AccessRefused,
    LockTimeout,
    failure,
    translate_errors,
)
from nyc_taxi.load.warehouse.bigquery.load import BigQuery, create_tables
from nyc_taxi.pipelines.zones import shipped_zones
from nyc_taxi.retry import RetryPolicy
from nyc_taxi.settings import load_settings
from tests.support.bigquery import Dataset

TARGET = BigQueryConfig("taxi", "project")
DATASET = "/bigquery/v2/projects/project/datasets/taxi"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile of this test's own, and little patience."""
    for name in ("BIGQUERY_DATASET", "BIGQUERY_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("TAXI_TIMEOUT", "1")


def to_endpoint(url: str) -> BigQuery:
    """The destination at a URL, with the retries and timeout of the environment."""
    return BigQuery(BigQueryConfig("taxi", "project", endpoint=url, retry=RetryPolicy.of(load_settings())))


def at(server: HTTPServer) -> BigQuery:
    """The destination at a server that answers as the test says."""
    return to_endpoint(server.url_for("").rstrip("/"))


def refusal(code: int, reason: str, message: str) -> Response:
    """An error as the API writes it."""
    error = {"code": code, "message": message, "errors": [{"reason": reason, "message": message}]}
    return Response(json.dumps({"error": error}), status=code, content_type="application/json")


def dataset_answer(**properties: str) -> Response:
    reference = {"projectId": "project", "datasetId": "taxi"}
    answer = {"datasetReference": reference, "location": "EU", **properties}
    return Response(json.dumps(answer), content_type="application/json")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("BIGQUERY_DATASET", "project.taxi", "BIGQUERY_DATASET='project.taxi' is not a dataset's name"),
        ("BIGQUERY_REQUIRE_PARTITION_FILTER", "maybe", "use true or false"),
    ],
)
def test_settings_that_make_no_sense(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str):
    monkeypatch.setenv("BIGQUERY_DATASET", "taxi")
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=message):
        BigQueryConfig.from_settings(load_settings())


def test_a_configured_dataset(monkeypatch: pytest.MonkeyPatch):
    values = {"BIGQUERY_DATASET": "taxi_1", "BIGQUERY_REQUIRE_PARTITION_FILTER": "true"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    target = BigQueryConfig.from_settings(load_settings())
    assert (target.dataset, target.require_partition_filter, target.endpoint) == ("taxi_1", True, "")
    assert target.describe() == "BigQuery dataset taxi_1 with application default credentials"


def test_a_key_that_is_none(tmp_path: Path):
    (tmp_path / "key.json").write_text("{}")
    for key in (tmp_path / "key.json", tmp_path / "missing.json"):
        with pytest.raises(
            SettingsError, match=r"GOOGLE_SERVICE_ACC_KEY_FILEPATH=.* is not a service account's"
        ):
            BigQuery(BigQueryConfig("taxi", key_file=str(key))).ledger_entries()


def test_no_credentials_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(
        DestinationError, match=r"application default credentials cannot be used .* set GOOGLE_"
    ):
        BigQuery(TARGET).ledger_entries()


def test_a_dead_endpoint_fails_soon():
    started = time.monotonic()
    with pytest.raises(DestinationUnreachable, match=r"BigQuery dataset project.taxi cannot be reached"):
        to_endpoint("http://127.0.0.1:1").ledger_entries()
    assert time.monotonic() - started < 20


def test_a_silent_endpoint_fails_soon(httpserver: HTTPServer):
    def silent(_: Any) -> Response:
        time.sleep(1.5)
        return dataset_answer()

    httpserver.expect_request(DATASET).respond_with_handler(silent)
    with pytest.raises(DestinationUnreachable, match="cannot be reached or closed the connection"):
        at(httpserver).ledger_entries()


def test_a_busy_service_is_asked_again(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TAXI_TIMEOUT", "60")  # far more than the waits between three requests
    httpserver.expect_ordered_request(DATASET).respond_with_response(refusal(503, "backendError", "busy"))
    httpserver.expect_ordered_request(DATASET).respond_with_response(
        refusal(429, "rateLimitExceeded", "slow")
    )
    httpserver.expect_ordered_request(DATASET).respond_with_response(dataset_answer())
    assert at(httpserver).engine.connection.location == "EU"


def test_a_service_that_stays_busy_is_given_up(httpserver: HTTPServer):
    httpserver.expect_request(DATASET).respond_with_response(refusal(503, "backendError", "try later"))
    with pytest.raises(
        DestinationUnreachable, match=r"the service is busy \(.*try later.*run the month again"
    ):
        at(httpserver).ledger_entries()


@pytest.mark.parametrize(
    ("code", "reason", "message"),
    [
        (403, "accessDenied", r"not permitted .*roles/bigquery\.dataEditor"),
        (404, "notFound", "the dataset does not exist .*create it, or set BIGQUERY_DATASET"),
        (403, "quotaExceeded", "quota or budget is exhausted"),
        (
            403,
            "accessDenied",
            r"not permitted .*create the dataset: .* must both exist",
        ),
        (400, "invalid", r"refused \(.*Dataset taxi"),
    ],
)
def test_refusals_say_what_to_do(httpserver: HTTPServer, code: int, reason: str, message: str):
    httpserver.expect_request(DATASET).respond_with_response(
        refusal(code, reason, "Dataset taxi: no bigquery.datasets.get (or it may not exist)")
    )
    with pytest.raises(DestinationError, match=message) as raised:
        at(httpserver).ledger_entries()
    assert not isinstance(raised.value, DestinationUnreachable)
    assert "\n" not in str(raised.value)


def test_credentials_that_are_not_accepted():
    with pytest.raises(DestinationError, match="the credentials were rejected"), translate_errors(TARGET):
        raise Unauthorized("revoked")


def test_a_missing_dataset(bigquery: Dataset):
    with pytest.raises(DestinationError, match=r"the dataset does not exist \(.*nowhere\); create it"):
        BigQuery(
            BigQueryConfig("nowhere", bigquery.target.project, endpoint=bigquery.target.endpoint)
        ).ledger_entries()


@pytest.mark.parametrize(
    ("reason", "message", "kind"),
    [
        ("invalidQuery", "Transaction is aborted due to concurrent update against table p:d.t.", LockTimeout),
        ("invalidQuery", "Could not serialize access to table p:d.t due to concurrent update", LockTimeout),
        (
            "backendError",
            "Error encountered during execution. Retrying may solve the problem.",
            DestinationUnreachable,
        ),
        ("rateLimitExceeded", "Job exceeded rate limits", DestinationUnreachable),
        ("notFound", "Not found: Table p:d.staging_trips_green was not found", DestinationUnreachable),
        ("notFound", "Not found: Table p:d.trips_green was not found", DestinationError),
        ("accessDenied", "Access Denied", AccessRefused),
        ("invalid", "Cannot read and write in different locations: source: EU", AccessRefused),
        ("invalid", "Error while reading data", DestinationError),
    ],
)
def test_why_jobs_fail(reason: str, message: str, kind: type[DestinationError]):
    error = failure(TARGET, "job-1", {"reason": reason, "message": message})
    assert type(error) is kind
    assert isinstance(error, LockTimeout) or "job-1" in str(error)


def test_names_cannot_leave_their_quotes():
    assert quoted("p.d.t") == "`p.d.t`"
    with pytest.raises(SettingsError, match="is not a valid name"):
        quoted("a` UNION ALL")


@pytest.mark.parametrize(
    ("setting", "what"),
    [("defaultTableExpirationMs", "tables"), ("defaultPartitionExpirationMs", "partitions")],
)
def test_a_dataset_that_would_delete_months_is_refused(
    httpserver: HTTPServer, tmp_path: Path, setting: str, what: str
) -> None:
    answer = dataset_answer(**{setting: str(60 * 86_400_000)})
    httpserver.expect_request(DATASET).respond_with_response(answer)
    empty = Response("{}", content_type="application/json")
    httpserver.expect_request(f"{DATASET}/tables", method="GET").respond_with_response(empty)
    table_not_found = refusal(404, "notFound", "Not found: Table project:taxi.zones")
    httpserver.expect_request(f"{DATASET}/tables/zones", method="GET").respond_with_response(table_not_found)
    destination = at(httpserver)
    for creates_tables in (
        lambda: create_tables(destination.engine.connection),
        lambda: destination.replace_lookup(shipped_zones()),
    ):
        with pytest.raises(
            SettingsError,
            match=rf"new {what} in the dataset expire after 60 days, .*`bq update .* project:taxi`",
        ):
            creates_tables()
