"""The deployment, by the real gcloud, onto an environment whose bucket is the embedded GCS server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import httpx
import pytest

from airflow_project import deploy, packages
from airflow_project.composer import Composer
from nyc_taxi.errors import TaxiError
from nyc_taxi.local import gcs
from nyc_taxi.settings import PROJECT
from tests.e2e.airflow.conftest import plain_environment
from tests.support import google_apis

needs_gcloud = pytest.mark.skipif(not shutil.which("gcloud"), reason="gcloud is not on PATH")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of what is deployed, that a test may change."""
    for name in ("nyc_taxi", "airflow_project/dags", "requirements", "mage_project"):
        ignore = shutil.ignore_patterns("__pycache__", "data_*", "pipelines", ".*")
        shutil.copytree(PROJECT / name, tmp_path / "project" / name, ignore=ignore)
    shutil.copy2(PROJECT / "airflow_project/dags/.airflowignore", tmp_path / "project/airflow_project/dags")
    shutil.copy2(PROJECT / "airflow_project/composer.env", tmp_path / "project/airflow_project")
    for name in ("io_config.yaml", "pyproject.toml"):
        shutil.copy2(PROJECT / name, tmp_path / "project")
    monkeypatch.setattr(deploy, "PROJECT", tmp_path / "project")
    monkeypatch.setattr(packages, "PROJECT", tmp_path / "project")
    monkeypatch.setattr(deploy, "DAGS", tmp_path / "project" / "airflow_project" / "dags")
    return tmp_path / "project"


@pytest.fixture
def composer(place, tmp_path, monkeypatch):
    """An environment: gcloud's two endpoints lead to this machine."""
    server = gcs.ensure(place / "gcs")
    with google_apis.serve(server.url) as apis:
        software = {"imageVersion": "composer-3-airflow-3.3.1-build.0", "pypiPackages": {}}
        apis.environment = {
            "config": {"dagGcsPrefix": f"gs://{server.bucket}/dags", "softwareConfig": software}
        }
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
    deploy.deploy(Composer("env", "here"), with_packages=False)
    first = objects(composer)
    assert {
        "dags/taxi_ingest.py",
        "dags/nyc_taxi/schema/columns.yaml",
        "dags/nyc_taxi/old.py",
    } <= first.keys()
    assert {"dags/taxi_airflow/month.py", "dags/mage_project/rules.yaml", "dags/.env"} <= first.keys()
    assert [name for name in first if "transformers" in name] == [
        "dags/mage_project/transformers/derive_trips.py"
    ]
    assert not [name for name in first if "__pycache__" in name or "pipelines" in name]

    (project / "nyc_taxi" / "old.py").unlink()
    (project / "airflow_project" / "dags" / "old_dag.py").unlink()
    deploy.deploy(Composer("env", "here"), with_packages=False)
    second = objects(composer)
    assert first.keys() - second.keys() == {"dags/nyc_taxi/old.py", "dags/old_dag.py"}
    changed = {name for name in second if second[name] != first[name]}
    assert changed == {"dags/taxi-deployed.json"}
    assert "dags/theirs.py" in second


@needs_gcloud
def test_a_dry_run_changes_nothing(composer, project, capfd):
    deploy.deploy(Composer("env", "here", dry_run=True))
    assert objects(composer) == {}
    assert {method for method, _, _ in composer.requests} == {"GET"}
    assert "would run: gcloud composer environments update env" in capfd.readouterr().err


ENVIRONMENT = Composer("env", "here")


def installed(composer):
    """The packages that were added to the environment, by anybody."""
    return composer.environment["config"]["softwareConfig"]["pypiPackages"]


def apply_update(composer):
    """Apply the one update that was requested, as Composer does: field by field; the packages after it."""
    [change] = [body for method, _, body in composer.requests if method == "PATCH"]
    [mask] = composer.masks
    composer.requests.clear()
    composer.masks.clear()
    given = change.get("config", {}).get("softwareConfig", {}).get("pypiPackages", {})
    for path in mask:
        name = re.fullmatch(r"config\.software_?[cC]onfig\.pypi_?[pP]ackages\.(.+)", path)[1]
        if name in given:
            installed(composer)[name] = given[name]
        else:
            del installed(composer)[name]
    return dict(installed(composer))


@needs_gcloud
def test_packages_come_before_the_code_and_only_when_they_are_others(composer, project, monkeypatch):
    def add_packages(self, added):
        seen.append(objects(composer).keys())
        return add(self, added)

    seen, add = [], Composer.add_packages
    monkeypatch.setattr(Composer, "add_packages", add_packages)
    deploy.deploy(ENVIRONMENT)
    assert seen == [{"dags/taxi-deployed.json"}]
    assert apply_update(composer) == packages.composer_packages()
    deploy.deploy(ENVIRONMENT)
    assert "PATCH" not in {method for method, _, _ in composer.requests}


@needs_gcloud
def test_packages_that_are_no_longer_needed_are_removed_and_no_others(composer, project):
    theirs = {"theirs": "==1", "stamina": "==25"}  # any version of stamina will do
    installed(composer).update(theirs)
    deploy.deploy(ENVIRONMENT)
    added = apply_update(composer)
    assert theirs.items() <= added.items()
    config = project / "pyproject.toml"
    config.write_text(re.sub('^ *"(isal|stamina).*', "", config.read_text(), flags=re.MULTILINE))
    deploy.deploy(ENVIRONMENT)
    assert apply_update(composer) == {name: added[name] for name in added if name != "isal"}


@needs_gcloud
def test_a_package_that_somebody_else_pinned_is_not_changed(composer, project):
    installed(composer)["pyarrow"] = "==17.0"
    with pytest.raises(TaxiError, match=r"pyarrow==17\.0 \(needed here: pyarrow=="):
        deploy.deploy(ENVIRONMENT)
    assert objects(composer) == {}


@needs_gcloud
def test_files_that_others_put_there_are_never_overwritten(composer, project):
    for name in (".airflowignore", ".env", "io_config.yaml"):
        google_apis.put(composer.storage, gcs.BUCKET, f"dags/{name}", b"theirs")
    before = objects(composer)
    with pytest.raises(TaxiError, match=r"no deployment created: \.airflowignore, \.env, io_config\.yaml\."):
        deploy.deploy(ENVIRONMENT, with_packages=False)
    assert objects(composer) == before


@needs_gcloud
def test_what_was_deployed_is_deleted_and_nothing_else(composer, project):
    google_apis.put(composer.storage, gcs.BUCKET, "dags/theirs.py", b"# another team's")
    deploy.deploy(ENVIRONMENT)
    apply_update(composer)
    installed(composer)["theirs"] = "==1"
    deploy.delete(ENVIRONMENT)
    assert objects(composer).keys() == {"dags/theirs.py"}
    assert apply_update(composer) == {"theirs": "==1"}
    with pytest.raises(TaxiError, match="nothing is deployed"):
        deploy.delete(ENVIRONMENT)


@needs_gcloud
def test_the_files_of_an_interrupted_deployment_are_known(composer, project, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Composer, "add_packages", interrupted)
    with pytest.raises(KeyboardInterrupt):
        deploy.deploy(ENVIRONMENT)
    listed = deploy.previous(f"gs://{gcs.BUCKET}/dags")
    assert {"taxi_ingest.py", "nyc_taxi/__init__.py"} <= set(listed.files)


def test_an_environment_that_is_not_named_is_asked_for(capsys):
    assert deploy.main(["--environment", "", "--location", "us-central1"]) == 2
    assert "ENVIRONMENT=taxi-dev LOCATION=us-central1" in capsys.readouterr().err


def test_pyarrow_is_the_one_of_every_environment():
    pins = {}
    for name in ("mage", "airflow", "airflow2"):
        text = (PROJECT / "requirements" / f"{name}.txt").read_text()
        pins[name] = re.search(r"^pyarrow==(\S+)", text, re.MULTILINE)[1]
    assert len(set(pins.values())) == 1
    assert packages.composer_packages()["pyarrow"] == f"=={pins['airflow']}"


def test_what_composer_installs_resolves_beside_its_own_packages():
    text = (PROJECT / "requirements" / "composer.in").read_text().partition("# what a deployment adds")[2]
    listed = re.findall(r"^([\w-]+)(\S*)", text.partition("\n")[2], re.MULTILINE)
    assert dict(listed) == packages.composer_packages(), "renew requirements/composer.in"


def test_the_transform_that_the_settings_name_is_deployed(project, tmp_path):
    (project / "transforms").mkdir()
    (project / "transforms" / "tips.py").write_text("# no transform\n")
    with (project / "airflow_project" / "composer.env").open("a") as file:
        file.write("TAXI_TRANSFORM=./transforms/tips.py\n")
    files = deploy.collect(tmp_path / "dags")
    assert "transforms/tips.py" in files
    assert "mage_project/transformers/derive_trips.py" not in files
    code = "from nyc_taxi.settings import load_settings; print(load_settings().transform)"
    environment = {**plain_environment(), "PYTHONPATH": str(tmp_path / "dags")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(tmp_path / "dags" / "transforms" / "tips.py"), done.stderr


@pytest.mark.parametrize("name", ["/srv/tips.py", "../tips.py", "transforms/missing.py"])
def test_a_transform_that_cannot_be_deployed_is_refused(project, tmp_path, name):
    with (project / "airflow_project" / "composer.env").open("a") as file:
        file.write(f"TAXI_TRANSFORM={name}\n")
    with pytest.raises(TaxiError, match=rf"TAXI_TRANSFORM={name} is not a file of this checkout"):
        deploy.collect(tmp_path / "dags")


ONLY_HELD = """
import re, sys
from importlib.metadata import packages_distributions
plain = lambda name: re.sub("[-_.]+", "-", name).lower()
allowed = {plain(name) for name in held} | {"nyc-taxi"}  # deployed as files
lacking = {
    top for top, owners in packages_distributions().items() if not allowed & {plain(name) for name in owners}
}
class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in lacking:
            raise ModuleNotFoundError(f"{name} is not in requirements/composer.txt", name=name)
sys.meta_path.insert(0, Lacking())
assert "moto" in lacking
"""
"""Refuses imports of packages that are not in `held`."""


def test_what_is_deployed_works_by_itself(tmp_path):
    """In a folder of its own, as on a worker: the DAG files import, and rules and connections are found.

    Only packages of requirements/composer.txt can be imported: what an image has, and what a deployment adds.
    """
    deploy.collect(tmp_path / "dags")
    compiled = (PROJECT / "requirements" / "composer.txt").read_text()
    held = re.findall(r"^([\w.-]+)==", compiled, re.MULTILINE)
    code = (
        f"held = {held!r}\n{ONLY_HELD}\n"
        "import json, runpy, sys; from pathlib import Path\n"
        "for path in sorted(Path('.').glob('*.py')): runpy.run_path(str(path))\n"
        "import nyc_taxi.settings as s; from nyc_taxi.pipelines import zones\n"
        "from nyc_taxi.pipelines.trips import run; from nyc_taxi.transform.rule_checks import load_rules\n"
        "from nyc_taxi.model.months import Service; from nyc_taxi.pipelines.bikeshare import flow\n"
        "settings = s.load_settings(); settings.connections\n"
        "load_rules(settings.rules, Service.GREEN); assert settings.transform.exists()\n"
        "print(json.dumps([str(s.PROJECT), str(settings.workspace)]))"
    )
    environment = {**plain_environment(), "PYTHONPATH": str(tmp_path / "dags"), "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "dags", env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [
        str(tmp_path / "dags"),
        "/tmp/nyc-taxi",
    ]
