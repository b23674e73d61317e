"""The Composer part of the test at Google, with stubs in place of terraform, gcloud, bq and make."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from tests.e2e.cloud import composer
from tests.e2e.cloud.__main__ import main
from tests.e2e.cloud.steps import Steps

STUB = f"""#!{sys.executable}
import json, os, pathlib, sys
name, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
line = " ".join([name, *arguments])
with open(os.environ["STUB_LOG"], "a") as log:
    log.write(line + "\\n")
for failing, answer in json.loads(os.environ["STUB_FAILS"]).items():
    if failing in line:
        sys.exit(answer)
if "environments describe" in line:
    print(json.dumps({{"config": {{"dagGcsPrefix": "gs://composers-own/dags"}}}}))
if "storage cat" in line:
    print(json.dumps({{"rows_loaded": 1988}}))
"""
ABSENT = {"buckets describe": "ERROR: not found: 404."}


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the steps, with commands failing as given; returns the steps and the commands' lines."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("terraform", "gcloud", "bq", "make"):
        (folder / name).write_text(STUB)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STUB_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("TAXI_WORKSPACE", str(tmp_path / "workspace"))

    def run(fails: dict[str, str]) -> tuple[Steps, list[str]]:
        monkeypatch.setenv("STUB_FAILS", json.dumps(fails))
        steps = Steps("A test")
        composer.take(steps, "my-project", "us-central1", tmp_path / "composer-test")
        return steps, (tmp_path / "log").read_text().splitlines()

    return run


def test_an_environment_is_created_used_and_deleted(commands, tmp_path):
    steps, lines = commands(ABSENT)
    assert steps.failed == []
    done = [line.replace(f"-chdir={tmp_path}/composer-test/terraform ", "").split(" -")[0] for line in lines]
    target = "ENVIRONMENT=taxi-dev LOCATION=us-central1 GCP_PROJECT=my-project"
    assert done == [
        "gcloud storage buckets describe gs://my-project-taxi-dev",
        *("terraform init", "terraform plan", "terraform apply", "terraform plan"),
        f"make composer-deploy {target}",
        "gcloud composer environments run taxi-dev",
        f"gcloud storage cp {tmp_path}/composer-test/green_tripdata_2021-03.parquet"
        " gs://my-project-taxi-dev/inbox/green_tripdata_2021-03.parquet",
        "gcloud storage cat gs://my-project-taxi-dev/manifests/service=green/month=2021-03/manifest.json",
        f"make composer-delete {target}",
        "gcloud composer environments describe taxi-dev",
        "gcloud storage rm",
        *("bq rm", "bq rm"),
        "terraform destroy",
        "gcloud storage rm",
    ]
    assert lines[-1].endswith("gs://composers-own")
    assert 'backend "local"' in (tmp_path / "composer-test/terraform/state_override.tf").read_text()
    assert (tmp_path / "composer-test/airflow_project/cloud_function/main.py").exists()


def test_a_project_that_has_one_is_left_alone(commands):
    steps, lines = commands({})
    assert steps.failed == ["Composer: the project has no taxi-dev yet"]
    assert len(lines) == 1


def test_an_answer_that_says_neither_is_a_failure(commands):
    steps, lines = commands({"buckets describe": "ERROR: you do not have an active account"})
    assert "you do not have an active account" in steps.outcomes[0].seen
    assert len(lines) == 1


def test_what_a_failed_apply_has_created_is_deleted(commands):
    steps, lines = commands({**ABSENT, " apply ": "Error 403"})
    assert [outcome.result for outcome in steps.outcomes] == ["passed", "failed", "passed"]
    assert any(" destroy " in line for line in lines)


def test_the_price_is_said_first_and_nothing_is_created_without_a_yes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    options = ["--project", "my-project", "--composer", "--report", str(tmp_path / "report.md")]
    assert main(["google", *options]) == 2
    assert "costs up to $3" in capsys.readouterr().err
