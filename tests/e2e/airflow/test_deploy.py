"""The deployment, by the real gcloud, onto an environment whose bucket is the embedded GCS server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import httpx
import pytest

from airflow_project import deploy
from nyc_taxi.local import gcs
from nyc_taxi.settings import PROJECT
from tests.e2e.airflow.conftest import plain_environment
from tests.support import google_apis

needs_gcloud = pytest.mark.skipif(not shutil.which("gcloud"), reason="gcloud is not on PATH")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of what is deployed, that a test may change."""
    for name in ("nyc_taxi", "airflow_project/dags", "requirements", "mage_project"):
        ignore = shutil.ignore_patterns("__pycache__", "data_*", "transformers", "pipelines", ".*")
        shutil.copytree(PROJECT / name, tmp_path / "project" / name, ignore=ignore)
    shutil.copy2(PROJECT / "airflow_project/dags/.airflowignore", tmp_path / "project/airflow_project/dags")
    shutil.copy2(PROJECT / "airflow_project/composer.env", tmp_path / "project/airflow_project")
    shutil.copy2(PROJECT / "io_config.yaml", tmp_path / "project")
    monkeypatch.setattr(deploy, "PROJECT", tmp_path / "project")
    monkeypatch.setattr(deploy, "DAGS", tmp_path / "project" / "airflow_project" / "dags")
    return tmp_path / "project"


@pytest.fixture
def composer(place, tmp_path, monkeypatch):
    """An environment: gcloud's two endpoints lead to this machine."""
    server = gcs.ensure(place / "gcs")
    with google_apis.serve(server.url) as apis:
        apis.environment = {"config": {"dagGcsPrefix": f"gs://{server.bucket}/dags"}}
        settings = {
            "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "True",
            "CLOUDSDK_CORE_PROJECT": "local",
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "True",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "True",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPOSER": f"{apis.url}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{apis.url}/storage/v1/",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield apis
    gcs.stop(place / "gcs")
    shutil.rmtree(place / "gcs")


def objects(composer):
    """Name and generation of all that lies in the bucket."""
    listed = httpx.get(f"{composer.storage}/storage/v1/b/{gcs.BUCKET}/o", params={"maxResults": 1000}).json()
    return {item["name"]: item["generation"] for item in listed.get("items", [])}


@needs_gcloud
def test_files_are_uploaded_once_and_deleted_when_they_are_gone(composer, project):
    google_apis.put(composer.storage, gcs.BUCKET, "dags/theirs.py", b"# another team's")
    (project / "nyc_taxi" / "old.py").write_text("")
    (project / "airflow_project" / "dags" / "old_dag.py").write_text("")
    deploy.deploy(deploy.Composer("env", "here"), packages=False)
    first = objects(composer)
    assert {
        "dags/taxi_ingest.py",
        "dags/nyc_taxi/schema/columns.yaml",
        "dags/nyc_taxi/old.py",
    } <= first.keys()
    assert {"dags/taxi_airflow/month.py", "dags/mage_project/rules.yaml", "dags/.env"} <= first.keys()
    assert not [name for name in first if "__pycache__" in name or "pipelines" in name]

    (project / "nyc_taxi" / "old.py").unlink()
    (project / "airflow_project" / "dags" / "old_dag.py").unlink()
    deploy.deploy(deploy.Composer("env", "here"), packages=False)
    second = objects(composer)
    assert first.keys() - second.keys() == {"dags/nyc_taxi/old.py", "dags/old_dag.py"}
    changed = {name for name in second if second[name] != first[name]}
    assert changed == {"dags/taxi-deployed.json"}
    assert "dags/theirs.py" in second


@needs_gcloud
def test_a_dry_run_changes_nothing(composer, project, capfd):
    deploy.deploy(deploy.Composer("env", "here", dry_run=True))
    assert objects(composer) == {}
    assert {method for method, _, _ in composer.requests} == {"GET"}
    assert "would run: gcloud composer environments update env" in capfd.readouterr().err


@needs_gcloud
def test_packages_are_set_when_they_are_others(composer, project):
    wanted = dict(line.split("==") for line in deploy.composer_packages())
    software = {"pypiPackages": {name: f"=={version}" for name, version in wanted.items()}}
    composer.environment["config"]["softwareConfig"] = software
    listed = project / "packages.txt"
    listed.write_text("\n".join(deploy.composer_packages()))
    deploy.set_packages(deploy.Composer("env", "here"), listed)
    assert {method for method, _, _ in composer.requests} == {"GET"}

    del software["pypiPackages"]["duckdb"]
    deploy.set_packages(deploy.Composer("env", "here"), listed)
    [change] = [body for method, _, body in composer.requests if method == "PATCH"]
    assert change["config"]["softwareConfig"]["pypiPackages"] == {
        name: f"=={version}" for name, version in wanted.items()
    }


def test_an_environment_that_is_not_named_is_asked_for(capsys):
    assert deploy.main(["--environment", "", "--location", "us-central1"]) == 2
    assert "ENVIRONMENT=taxi-dev LOCATION=us-central1" in capsys.readouterr().err


def test_pyarrow_is_the_one_of_every_environment():
    pins = {}
    for name in ("mage", "airflow", "airflow2"):
        text = (PROJECT / "requirements" / f"{name}.txt").read_text()
        pins[name] = re.search(r"^pyarrow==(\S+)", text, re.MULTILINE)[1]
    assert len(set(pins.values())) == 1
    assert f"pyarrow=={pins['airflow']}" in deploy.composer_packages()


def test_what_is_deployed_works_by_itself(tmp_path):
    """In a folder of its own, as on a worker: the DAG files import, and rules and connections are found."""
    deploy.collect(tmp_path / "dags")
    code = (
        "import json, runpy, sys; from pathlib import Path\n"
        "for path in sorted(Path('.').glob('*.py')): runpy.run_path(str(path))\n"
        "import nyc_taxi.settings as s; from nyc_taxi import flow; from nyc_taxi.model.months import Service\n"
        "from nyc_taxi.pipelines.bikeshare import flow as _; from nyc_taxi import zones\n"
        "flow.load_rules(s.settings().rules, Service.GREEN); s.profile()\n"
        "print(json.dumps([str(s.PROJECT), str(s.settings().workspace)]))"
    )
    environment = {**plain_environment(), "PYTHONPATH": str(tmp_path / "dags"), "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "dags", env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [
        str(tmp_path / "dags"),
        "/home/airflow/gcs/data/taxi",
    ]
