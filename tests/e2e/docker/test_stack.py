"""The stack of docker-compose.yml on a real engine, from a fresh checkout to an upgrade.

The tests are steps of one story and rely on those before them.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from launchers.env_file import read
from nyc_taxi.local.samples import write
from nyc_taxi.model.months import Month, Service
from tests.e2e.docker.stack import HERE, NAME, Stack, docker, own, run, use_substitute_images, wait_for

pytestmark = pytest.mark.docker

IMAGES = ("nyc-taxi-mage", "nyc-taxi-airflow")
INBOX = "/workspace/inbox"
RUNS = "/api/v2/dags/taxi_ingest/dagRuns"
LOCAL = {"mage", "postgres", "gcs"}
AIRFLOW = {"airflow-api-server", "airflow-scheduler", "airflow-dag-processor"}
SECONDS_TO_STOP = 15
HTTP = httpx.Client(timeout=60, trust_env=False)  # patient, and never through a proxy


def test_without_env_file_compose_refuses_and_says_what_to_do(stack: Stack):
    with pytest.raises(AssertionError, match="run make env"):
        stack.compose("config")


def test_make_env_is_all_that_compose_needs(stack: Stack):
    own(stack.folder)
    run("make", "env", cwd=stack.folder)
    assert (stack.folder / ".env").stat().st_uid == stack.folder.stat().st_uid
    for profile in ("", "local", "airflow", "celery", "cloud"):
        done = stack.compose("config", profile=profile)
        assert done.stderr == "", profile
    assert set(stack.compose("config", "--services").stdout.split()) == LOCAL
    assert set(stack.compose("config", "--services", profile="cloud").stdout.split()) == {
        "mage-cloud",
        "postgres",
    }


def test_images_are_built(stack: Stack):
    use_substitute_images(stack)
    for service, image in zip(("mage", "airflow-init"), IMAGES, strict=True):
        with stack.timed(f"build of {image}"):
            stack.compose("build", "--quiet", service, profile="airflow", timeout=600)
        size = json.loads(docker("image", "inspect", image))[0]["Size"]
        base = json.loads(docker("image", "inspect", stack.environment["PYTHON_IMAGE"]))[0]["Size"]
        stack.figures[f"size of {image}"] = f"{size / 1e6:,.0f} MB, the base {base / 1e6:,.0f} MB of it"
    substitutes = [
        name
        for name in ("postgres", "redis")
        if stack.environment[f"{name.upper()}_IMAGE"].startswith("nyc-taxi-test/")
    ]
    if substitutes:
        compose_file = HERE / "substitutes" / "docker-compose.yml"
        stack.compose("-f", str(compose_file), "build", "--quiet", *substitutes)


@pytest.mark.parametrize("image", IMAGES)
def test_images_hold_what_they_need_and_no_secret(stack: Stack, image: str):
    described = json.loads(docker("image", "inspect", image))[0]["Config"]
    assert described["User"] == "1000"
    assert described["Labels"]["org.opencontainers.image.title"] == image
    assert described["Healthcheck"]["Test"]

    shell = ("run", "--rm", "-i", "--network", "none", "--user", "0", "--entrypoint", "sh", image, "-c")
    files = docker(*shell, "find /srv /home /root /tmp /workspace /var/lib/mage /var/lib/gcs -type f || true")
    for name in files.splitlines():
        if not name.startswith("/root/."):  # of the base
            part = Path(name).relative_to("/srv/taxi")
            assert part.parts[0] in ("nyc_taxi", "mage_project", "launchers", "airflow_project"), name
            assert (stack.folder / part).is_file(), name
    assert docker(*shell, "command -v gcc cc make uv git || true") == ""

    # nothing of .env, in no file and in no layer's command; and no key that somebody has forgotten
    settings = read(stack.folder / ".env").items()
    secrets = [value for name, value in settings if re.search("PASSWORD|SECRET|KEY|TOKEN", name)]
    assert len(secrets) > 8
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image) + json.dumps(described)
    assert not [value for value in secrets if value in history]
    places = "/srv /etc /home /root /usr/local"
    assert docker(*shell, f"grep -rlF -f - {places} || true", input="\n".join(secrets)) == ""
    keys = r'AKIA[0-9A-Z]{16}|BEGIN [A-Z ]*PRIVATE KEY-|"private_key_id": "[0-9a-f]'
    assert docker(*shell, f"grep -rlE -f - {places} || true", input=keys) == ""


def test_up_is_all_it_takes_to_be_healthy(stack: Stack):
    with stack.timed("first start of Mage, Postgres, GCS until healthy"):
        stack.compose("up", "--detach", "--wait", "--no-build", timeout=240)
    assert stack.health("local") == dict.fromkeys(LOCAL, "healthy")
    for service, each in stack.containers("local").items():
        host = each["HostConfig"]
        for published in host["PortBindings"].values():
            assert {port["HostIp"] for port in published} == {"127.0.0.1"}, service
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert host["Memory"] > 0, service
        assert host["LogConfig"]["Config"]["max-size"] == "10m", service
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service
    for service in ("mage", "gcs"):
        assert stack.inside(service, "id", "-u").strip() == stack.setting("TAXI_UID") != "0"


def _month(month: str, folder: Path) -> Path:
    """The month's real file where there are real files, otherwise a generated one."""
    name = f"green_tripdata_{month}.csv.gz"
    real = Path(os.environ.get("TAXI_REAL_DATA", "/nowhere")) / "nyc-tlc-data" / "green" / name
    if real.exists():
        return real
    write(Service.GREEN, Month.parse(month), folder / name, 20_000, 1)
    return folder / name


def _deliver(stack: Stack, file: Path) -> int:
    """Put a file into the workspace; the number of its rows."""
    with file.open("rb") as source:
        script = f"mkdir -p {INBOX} && cat >{INBOX}/{file.name}"
        stack.inside("mage", "sh", "-c", script, stdin=source)
    with gzip.open(file, "rb") as lines:
        return sum(1 for _ in lines) - 1


def _start_in_mage(stack: Stack, **variables: str) -> int:
    """Have the trigger `new file` start the pipeline; the number of the run."""
    ((number,),) = stack.sql("SELECT id FROM pipeline_schedule WHERE name = 'new file'", "mage")
    answer = HTTP.post(
        f"http://127.0.0.1:{stack.setting('MAGE_PORT')}/api/pipeline_schedules/{number}/api_trigger",
        headers={"Authorization": f"Bearer {stack.setting('TAXI_TRIGGER_TOKEN')}"},
        json={"pipeline_run": {"variables": variables}},
    ).json()
    assert "error" not in answer, answer
    return int(answer["pipeline_run"]["id"])


def _state_in_mage(stack: Stack, run: int) -> str:
    ((status,),) = stack.sql(f"SELECT status FROM pipeline_run WHERE id = {run}", "mage")
    return str(status).lower()


def _completes_in_mage(stack: Stack, run: int) -> None:
    ended = ("completed", "failed", "cancelled")
    state = wait_for(f"Mage's run {run}", lambda: (now := _state_in_mage(stack, run)) in ended and now)
    assert state == "completed", stack.compose("logs", "--tail", "60", "mage").stdout


def _ledger(stack: Stack) -> dict[str, tuple[int, int]]:
    """Rows in, and trips and quarantined rows in the tables, by month, as a program outside sees them."""
    counts: dict[str, tuple[int, int]] = {}
    for month, rows in stack.sql("SELECT to_char(month, 'YYYY-MM'), rows_in FROM taxi.ledger"):
        ((stored,),) = stack.sql(
            f"SELECT (SELECT count(*) FROM taxi.trips_green WHERE month = '{month}-01')"
            f" + (SELECT count(*) FROM taxi.quarantine_green WHERE month = '{month}-01')"
        )
        counts[month] = (rows, stored)
    return counts


def test_pipeline_of_mage_loads_a_month(stack: Stack, tmp_path: Path):
    rows = _deliver(stack, _month("2020-04", tmp_path))
    wait_for(
        "the trigger's token", lambda: "accepts TAXI_TRIGGER_TOKEN" in stack.compose("logs", "mage").stdout
    )
    with stack.timed("green 2020-04 through Mage's scheduler"):
        _completes_in_mage(stack, _start_in_mage(stack, service="green", month="2020-04", source=INBOX))
    assert _ledger(stack) == {"2020-04": (rows, rows)}
    bucket = f"http://127.0.0.1:{stack.setting('GCS_PORT')}/storage/v1/b/taxi/o"
    names = [each["name"] for each in HTTP.get(bucket).json()["items"]]
    assert any(name.startswith("trips/service=green/month=2020-04/") for name in names)


def test_doctor_says_the_same_inside_and_outside(stack: Stack):
    """By the names that hold in each place; the workspace, and the warehouse in it, are the containers'."""
    inside = stack.inside("mage", "env", "TAXI_SOURCE=sample", "taxi", "doctor")
    outside = run(
        *(sys.executable, "-c", "from nyc_taxi.cli import main; main()", "doctor"),
        cwd=stack.folder,
        env={**stack.environment, "PYTHONPATH": str(stack.folder), "TAXI_SOURCE": "sample"},
    ).stdout
    for text, postgres, gcs in (
        (inside, "postgres:5432", "http://gcs:4443"),
        (outside, f"127.0.0.1:{stack.setting('POSTGRES_PORT')}", stack.setting("STORAGE_EMULATOR_HOST")),
    ):
        for name, where in (("postgres", postgres), ("gcs", gcs)):
            assert re.search(rf"^ok +{name}: .*{re.escape(where)}.* holds 1 month", text, re.MULTILINE), text


def _mage(stack: Stack) -> httpx.Client:
    """Logged in as a person would be."""
    url = f"http://127.0.0.1:{stack.setting('MAGE_PORT')}/api"
    key = {"X-API-KEY": "zkWlN0PkIKSN0C11CfUHUj84OT5XOJ6tDZ6bDRO2"}  # no secret: all of Mage's pages send it
    names = {"email": "DEFAULT_OWNER_EMAIL", "password": "DEFAULT_OWNER_PASSWORD"}
    login = {"session": {field: stack.setting(name) for field, name in names.items()}}
    token = HTTP.post(f"{url}/sessions", json=login, headers=key).json()["session"]["token"]
    return httpx.Client(
        base_url=url, headers={**key, "Cookie": f"oauth_token={token}"}, timeout=60, trust_env=False
    )


def test_an_edit_in_mages_pages_lands_in_the_checkout_as_its_owner(stack: Stack):
    file = stack.folder / "mage_project" / "pipelines" / "zone_lookup" / "metadata.yaml"
    with _mage(stack) as client:
        answer = client.put(
            "/pipelines/zone_lookup", json={"pipeline": {"description": "edited in the pages"}}
        ).json()
    assert "error" not in answer, answer
    assert "edited in the pages" in file.read_text()
    assert str(file.stat().st_uid) == stack.setting("TAXI_UID")


def _airflow(stack: Stack) -> httpx.Client:
    url = f"http://127.0.0.1:{stack.setting('AIRFLOW_PORT')}"
    login = {"username": "admin", "password": stack.setting("AIRFLOW_PASSWORD")}
    token = HTTP.post(f"{url}/auth/token", json=login).raise_for_status().json()["access_token"]
    return httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False
    )


def _load_in_airflow(client: httpx.Client, *months: str, source: str) -> list[str]:
    """Start taxi_ingest for each month of green; returns the states of the runs once all have ended."""
    client.patch("/api/v2/dags/taxi_ingest", json={"is_paused": False}).raise_for_status()
    runs = []
    for month in months:
        request = {"service": "green", "month": month, "source": source}
        answer = client.post(RUNS, json={"logical_date": None, "conf": request}).raise_for_status()
        runs.append(answer.json()["dag_run_id"])

    def ended() -> list[str] | None:
        states = [client.get(f"{RUNS}/{run}").json()["state"] for run in runs]
        return states if set(states) <= {"success", "failed"} else None

    states: list[str] = wait_for("taxi_ingest", ended)
    return states


def test_airflow_joins_and_loads_a_month_beside_mage(stack: Stack, tmp_path: Path):
    rows = _deliver(stack, _month("2020-05", tmp_path))
    with stack.timed("first start of Airflow until healthy"):
        stack.compose("up", "--detach", "--wait", "--no-build", profile="airflow", timeout=300)
    assert stack.health() == dict.fromkeys(LOCAL | AIRFLOW, "healthy")
    with _airflow(stack) as client:
        wait_for("the DAGs", lambda: client.get("/api/v2/dags/taxi_ingest").status_code == 200)
        assert client.get("/api/v2/importErrors").json()["import_errors"] == []
        with stack.timed("green 2020-05 through taxi_ingest"):
            assert _load_in_airflow(client, "2020-05", source=INBOX) == ["success"]
    assert _ledger(stack)["2020-05"] == (rows, rows)
    # Mage sees what Airflow has done, in the warehouse that they share
    months = json.loads(stack.inside("mage", "taxi", "status", "--json"))
    assert {each["month"] for each in months} == {"2020-04", "2020-05"}


@pytest.mark.parametrize("service", ["gcs", "airflow-scheduler", "mage", "postgres"])
def test_a_killed_container_comes_back(stack: Stack, service: str):
    container = stack.containers()[service]
    process = container["State"]["Pid"]
    # from beside it: the engine's own `kill` counts as a wish that it stays away
    beside = ("run", "--rm", "--pid", "host", "--user", "0", "--entrypoint", "sh", IMAGES[0], "-c")
    docker(*beside, f"kill -9 {process}")

    def back() -> bool:
        now = stack.containers()[service]
        return (
            now["RestartCount"] > container["RestartCount"] and now["State"]["Health"]["Status"] == "healthy"
        )

    wait_for(f"{service} is back", back)


def test_all_is_healthy_again_and_nothing_lost(stack: Stack):
    wait_for("all healthy", lambda: set(stack.health().values()) == {"healthy"})
    assert set(_ledger(stack)) == {"2020-04", "2020-05"}


def test_down_in_the_middle_of_a_run_and_an_upgrade_lose_nothing(stack: Stack):
    before = _ledger(stack)
    number = _start_in_mage(stack, service="green", month="2020-06", source="sample:1000000")
    cleaning = ("sh", "-c", "ls -d /workspace/scratch/green-2020-06-* || true")
    wait_for("the run is at work", lambda: stack.inside("mage", *cleaning))
    assert _state_in_mage(stack, number) == "running"
    started = time.monotonic()
    stack.compose("down", profile="airflow")
    seconds = time.monotonic() - started
    stack.figures["stop of everything in the middle of a run"] = f"{seconds:.0f} s"

    # the next version of the code, in images built anew
    version = stack.folder / "nyc_taxi" / "settings.py"
    version.write_text(version.read_text() + "\n# the next version\n")
    with stack.timed("build of both images after a change of code"):
        stack.compose("build", "--quiet", profile="airflow", timeout=300)
    with stack.timed("start of everything, with data, until healthy"):
        stack.compose("up", "--detach", "--wait", "--no-build", profile="airflow", timeout=300)
    assert "# the next version" in docker(
        "run", "--rm", "--entrypoint", "tail", IMAGES[0], "-n", "1", "/srv/taxi/nyc_taxi/settings.py"
    )

    _completes_in_mage(stack, number)
    after = _ledger(stack)
    assert after.pop("2020-06") == (1_000_000, 1_000_000)
    assert after == before
    with _airflow(stack) as client:
        runs = client.get(RUNS).json()["dag_runs"]
    assert [each["state"] for each in runs] == ["success"]
    assert seconds < SECONDS_TO_STOP


WORKERS = 2
JOINING = """
services:
  probe:
    image: nyc-taxi-mage
    entrypoint: [python, -c]
    networks: [taxi]
networks:
  taxi: {name: %s_default, external: true}
"""


def test_another_stack_reaches_postgres_by_name_over_an_external_network(stack: Stack, tmp_path: Path):
    (tmp_path / "docker-compose.yml").write_text(JOINING % NAME)
    url = f"postgresql://taxi:{stack.setting('POSTGRES_PASSWORD')}@postgres:5432/taxi"
    query = f"import psycopg2; c = psycopg2.connect({url!r}).cursor(); c.execute('TABLE taxi.ledger')"
    done = run(
        *("docker", "compose", "--project-name", f"{NAME}-other", "run", "--rm", "probe"),
        f"{query}; print(c.rowcount)",
        cwd=tmp_path,
    )
    assert done.stdout.strip() == "3"


def test_celery_workers_that_share_no_disk_load_months(stack: Stack):
    stack.compose("stop", "airflow-scheduler", profile="airflow")
    with stack.timed(f"start of Celery and {WORKERS} workers until healthy"):
        up = ("up", "--detach", "--wait", "--no-build", "--scale", f"airflow-worker={WORKERS}")
        stack.compose(*up, profile="celery", timeout=300)
    months = ["2019-07", "2019-08"]
    with _airflow(stack) as client:
        with stack.timed(f"{len(months)} months of 20,000 rows through taxi_ingest on {WORKERS} workers"):
            assert _load_in_airflow(client, *months, source="sample:20000") == ["success"] * len(months)
        tasks = client.get(f"{RUNS}/~/taskInstances", params={"limit": 100}).json()["task_instances"]
    ledger = _ledger(stack)
    assert [ledger[month] for month in months] == [(20_000, 20_000)] * len(months)
    workers = stack.compose("ps", "-q", "airflow-worker", profile="celery").stdout.split()
    assert {task["hostname"] for task in tasks} & {number[:12] for number in workers}
    mounted = [volume["Name"] for number in workers for volume in _volumes(number)]
    assert len(set(mounted)) == len(mounted) == 2 * WORKERS, "workers share a volume"


def _volumes(container: str) -> list[dict[str, Any]]:
    mounts = json.loads(docker("inspect", container))[0]["Mounts"]
    return [mount for mount in mounts if mount["Type"] == "volume"]
