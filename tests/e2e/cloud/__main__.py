"""Tests against a real service: `make cloud-test GCP_PROJECT=...` and `make s3-test ENDPOINT=...`.

Every bucket, dataset and job is the test's own; buckets and datasets are deleted in the end. At Google a
test takes less than an hour and costs less than $2: no step begins after 55 minutes or $1.50. The report says
which steps passed, and what was seen. With BIGQUERY_EMULATOR_HOST and STORAGE_EMULATOR_HOST the same steps
run against emulators.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from nyc_taxi.lake.object_store.s3.config import S3Config
from nyc_taxi.lake.object_store.store import Store
from tests.e2e.cloud import composer
from tests.e2e.cloud.google import TESTS, BigQuerySteps
from tests.e2e.cloud.months import Months
from tests.e2e.cloud.preconditions import take_preconditions
from tests.e2e.cloud.resources import datasets, gcs_bucket, s3_bucket
from tests.e2e.cloud.steps import StepFailed, Steps


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code: 0 if every step passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.cloud", description=__doc__)
    services = parser.add_subparsers(dest="service", required=True)
    google, s3 = services.add_parser("google"), services.add_parser("s3")
    google.add_argument("--project", default="", help="pays, and gets the bucket and the datasets")
    google.add_argument("--location", default="us-central1", help="of the bucket and the datasets")
    google.add_argument("--tests", nargs="*", default=TESTS, help="tests of BigQuery to run")
    google.add_argument("--composer", action="store_true", help="also create a Composer environment")
    s3.add_argument("--endpoint", default="", help="URL of the service; empty: Amazon")
    for service in (google, s3):
        service.add_argument("--bucket", default="", help="a new name; empty: one is made up")
        service.add_argument("--parallel", type=int, default=8, help="months that are loaded at once")
        service.add_argument("--large-rows", type=int, default=600_000, help="rows of a large month")
        service.add_argument("--report", type=Path, required=True)
    options = parser.parse_args(arguments)
    if options.service == "google" and not options.project:
        say("Name the project that pays and gets the bucket: make cloud-test GCP_PROJECT=my-project")
        return 2
    try:
        return test_google(options) if options.service == "google" else test_s3(options)
    except StepFailed as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted: no report is written")
        return 130


def test_google(options: argparse.Namespace) -> int:
    """All steps at Google."""
    if options.composer and not composer.confirmed():
        return 2
    name = f"taxi-test-{uuid.uuid4().hex[:12]}"
    bucket, dataset = options.bucket or f"{options.project}-{name}", name.replace("-", "_")
    environment = environment_with(
        GCS_BUCKET=bucket,
        BIGQUERY_DATASET=dataset,
        GOOGLE_CLOUD_PROJECT=options.project,
        TAXI_LAKE="gcs",
    )
    steps = Steps(f"Test at Google, project {options.project}")
    names, spent = [dataset, f"{dataset}_bikeshare_sample"], 0.0
    with deleted_in_the_end(steps) as stack:
        say(f"creating gs://{bucket} and the datasets {' and '.join(names)}, to be deleted in the end")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nyc-taxi-")))
        store = stack.enter_context(gcs_bucket(options.project, bucket, options.location))
        client = stack.enter_context(datasets(options.project, names, options.location))
        months = months_of("gcs,bigquery", environment, store, folder, steps, options)
        stack.callback(months.stop)
        bigquery = BigQuerySteps(
            client, options.project, bucket, dataset, options.location, months, tuple(options.tests)
        )
        steps.spent = bigquery.spent
        take_preconditions(steps, lambda: store)
        months.take(steps)
        bigquery.take(steps)
        spent = bigquery.spent()
    if options.composer:
        composer.take(steps, options.project, options.location, options.report.parent / "composer-test")
    facts = {"Bucket": f"gs://{bucket}", "Datasets": ", ".join(names), "Queries": f"${spent:.2f}"}
    return steps.finish(facts, options.report)


def test_s3(options: argparse.Namespace) -> int:
    """All steps at Amazon or another service of that protocol; keys are boto3's or AWS_*."""
    bucket = options.bucket or f"taxi-test-{uuid.uuid4().hex[:12]}"
    environment = environment_with(S3_BUCKET=bucket, AWS_ENDPOINT=options.endpoint, TAXI_LAKE="s3")
    config = S3Config(
        bucket,
        endpoint=options.endpoint,
        region=os.environ.get("AWS_REGION", ""),
        access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", ""),
        secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY", ""),
        session_token=os.environ.get("AWS_SESSION_TOKEN", ""),
    )
    steps = Steps(f"Test of S3 at {options.endpoint or 'Amazon'}")
    with deleted_in_the_end(steps) as stack:
        say(f"creating the bucket {bucket}, to be deleted in the end")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nyc-taxi-")))
        store = stack.enter_context(s3_bucket(config))
        months = months_of("s3", environment, store, folder, steps, options)
        stack.callback(months.stop)
        take_preconditions(steps, lambda: store)
        months.take(steps)
    return steps.finish({"Bucket": bucket}, options.report)


@contextlib.contextmanager
def deleted_in_the_end(steps: Steps) -> Iterator[contextlib.ExitStack]:
    """A stack of what was created; its deletion is the last step, whatever happens before."""
    stack = contextlib.ExitStack()
    try:
        yield stack
    finally:
        steps.take("everything is deleted", lambda: stack.close() or "deleted", always=True)


def months_of(
    destinations: str,
    environment: dict[str, str],
    store: Store,
    folder: Path,
    steps: Steps,
    options: argparse.Namespace,
) -> Months:
    """The steps of months, within the limits of all steps."""
    return Months(
        destinations,
        environment,
        store,
        folder,
        lambda: steps.left,
        options.parallel,
        options.large_rows,
    )


def environment_with(**settings: str) -> dict[str, str]:
    """The environment of commands: with these settings, and without others that lead to data of the user."""
    others = ("GCS_", "S3_", "BIGQUERY_DATASET", "BIKESHARE_", "MYSQL_", "TAXI_")
    kept: Mapping[str, str] = {
        name: value for name, value in os.environ.items() if not name.startswith(others)
    }
    # empty values win over those of .env
    empty = ("GCS_PREFIX", "S3_PREFIX", "MYSQL_HOST", "BIKESHARE_DATASET", "GOOGLE_SERVICE_ACC_KEY_FILEPATH")
    return {**kept, **dict.fromkeys(empty, ""), **settings}


def say(text: str) -> None:
    """Print a message for the user."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # in the background, too, where a shell ignores SIGINT
        signal.signal(number, signal.default_int_handler)
    sys.exit(main())
