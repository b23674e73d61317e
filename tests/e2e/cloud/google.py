"""What only BigQuery beside a bucket shows, and what the steps cost."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nyc_taxi.settings import PROJECT
from tests.e2e.cloud.months import CONTESTED, Months
from tests.e2e.cloud.resources import gcs_bucket
from tests.e2e.cloud.steps import StepFailed, Steps

DOLLARS_PER_TIB = 6.25
"""Price of a query's bytes, without a reservation."""

TESTS = (
    "tests/integration/load/test_bigquery.py",
    "tests/integration/load/test_bigquery_google.py",
    *(
        f"tests/integration/load/test_conformance.py::{name}[bigquery]"
        for name in (
            "test_every_value_is_loaded_and_every_field_recorded",
            "test_the_same_version_is_not_loaded_again",
            "test_a_lookup_is_replaced_whole",
        )
    ),
)
"""Tests that run on Google's service if the environment names a project."""


@dataclass
class BigQuerySteps:
    """Steps in a dataset, which reads from a bucket in the same location."""

    client: Any
    project: str
    bucket: str
    dataset: str
    location: str
    months: Months
    tests: tuple[str, ...] = TESTS
    started: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))

    def take(self, steps: Steps) -> None:
        """All steps; after those of `months`."""
        steps.take("months are loaded from the bucket, without an upload", self.loads_from_bucket)
        steps.take("tables are partitioned, and times have no zone", self.table_types)
        steps.take("a bucket in another location", self.other_location)
        steps.take("two days of bike-share at once", self.bikeshare_days)
        steps.take("the views' price", lambda: self.months.taxi("cost", "--month", "2018-04"))
        steps.take("the tests of BigQuery", self.run_tests)

    def loads_from_bucket(self) -> str:
        name = f"-{self.dataset}-green-"
        jobs = [job for job in self.jobs() if job.job_type == "load" and name in job.job_id]
        loads = [job for job in jobs if "-load-trips-" in job.job_id and CONTESTED not in job.job_id]
        uploaded = [job.job_id for job in loads if not job.source_uris]
        if uploaded or not loads:
            raise StepFailed(f"{len(uploaded)} of {len(loads)} jobs uploaded a file: {uploaded[:1]}")
        return f"{len(loads)} load jobs read from gs://{self.bucket}"

    def table_types(self) -> str:
        table = self.client.get_table(f"{self.project}.{self.dataset}.trips_green")
        types = {column.name: (column.field_type, column.mode) for column in table.schema}
        seen = (types["pickup_datetime"][0], types["flags"][1], table.time_partitioning.type_)
        if seen != ("DATETIME", "REPEATED", "MONTH"):
            raise StepFailed(f"pickup_datetime, flags and the partitions are {seen}")
        return "DATETIME, lists of strings, a partition per month"

    def other_location(self) -> str:
        """BigQuery refuses to read from it: the month is uploaded, and a warning says why."""
        elsewhere = "EU" if self.location.upper() == "US" or self.location.startswith("us-") else "US"
        name = f"{self.bucket}-elsewhere"
        with gcs_bucket(self.project, name, elsewhere) as store:
            environment = {**self.months.environment, "GCS_BUCKET": name}
            folder = self.months.folder / "elsewhere"
            months = Months(self.months.destinations, environment, store, folder, self.months.left)
            months.running = self.months.running  # which an interruption ends
            messages = months.run("2018-08", "sample:2000:1")
        uploaded = "so the month is uploaded from this machine" in " ".join(messages.split())
        if not uploaded and self.location.upper() != "US":  # which may read from everywhere
            raise StepFailed(f"BigQuery did not refuse to read from {elsewhere}")
        result = "uploaded instead" if uploaded else "read from there"
        return f"{result}; {self.months.verify_in('bigquery', '2018-08')}"

    def bikeshare_days(self) -> str:
        days = ("2018-01-01", "2018-01-02")
        for day in days:
            self.months.taxi("bikeshare", "seed", day)
        for run in [self.months.start("bikeshare", "run", day) for day in days]:
            self.months.end(run)
        tables = {table.table_id for table in self.client.list_tables(f"{self.dataset}_bikeshare_sample")}
        left = sorted(name for name in tables if name.startswith("staging_"))
        if left:
            raise StepFailed(f"staging tables are left: {', '.join(left)}")
        return f"{len(tables)} tables"

    def run_tests(self) -> str:
        report = self.months.folder / "tests.xml"
        environment = {**os.environ, **self.variables()}
        command = [sys.executable, "-m", "pytest", "-n", "0", f"--junit-xml={report}", *self.tests]
        output = run_pytest(command, environment, self.months.left())
        if not report.exists():
            raise StepFailed(output[-500:])
        return summary_of(report)

    def variables(self) -> dict[str, str]:
        """What leads the tests to Google's service."""
        if "BIGQUERY_EMULATOR_HOST" in os.environ:
            return {}
        return {
            "TAXI_TEST_GCP_PROJECT": self.project,
            "TAXI_TEST_GCS_BUCKET": self.bucket,
            "TAXI_TEST_BIGQUERY_LOCATION": self.location,
        }

    def jobs(self) -> list[Any]:
        """This account's jobs since the test began."""
        return list(self.client.list_jobs(project=self.project, min_creation_time=self.started))

    def spent(self) -> float:
        """Dollars for queries; storage and requests cost a few cents more."""
        queries = [job for job in self.jobs() if job.job_type == "query"]
        return sum(job.total_bytes_billed or 0 for job in queries) / 2**40 * DOLLARS_PER_TIB


def run_pytest(command: list[str], environment: dict[str, str], seconds: float) -> str:
    """What pytest prints; at the limit it is interrupted, so that it deletes the datasets that it created."""
    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a terminal's Ctrl-C, and then ours, would end it before it has deleted them
    )
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        raise StepFailed(f"not finished after {seconds:.0f} s") from None
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate()


def summary_of(report: Path) -> str:
    """How many tests passed, of pytest's report; raises StepFailed that names those that did not."""
    cases = list(ET.parse(report).getroot().iter("testcase"))
    failed = [case.attrib["name"] for case in cases if case.find("failure") is not None]
    failed += [case.attrib["name"] for case in cases if case.find("error") is not None]
    skipped = sum(case.find("skipped") is not None for case in cases)
    if failed or not cases:
        raise StepFailed(f"{len(failed)} of {len(cases)} tests failed: {', '.join(failed)}")
    return f"{len(cases) - skipped} passed, {skipped} skipped"
