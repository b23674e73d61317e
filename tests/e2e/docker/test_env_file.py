"""`make env`: what containers need, at random, beside what is there."""

from __future__ import annotations

import re
import socket
import stat
import subprocess
import sys
from pathlib import Path

import dotenv
import pytest
import yaml

from launchers import env_file
from nyc_taxi.settings import PROJECT

COMPOSE = (PROJECT / "docker-compose.yml").read_text()
SECRET = re.compile("PASSWORD|SECRET|KEY|TOKEN")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def fill(path: Path) -> dict[str, str | None]:
    env_file.complete(path, env_file.containers(env_file.read(path)))
    return dotenv.dotenv_values(path)


def test_everything_compose_insists_on_is_written(path: Path):
    required = set(re.findall(r"\$\{(\w+):\?run make env\}", COMPOSE))
    assert len(required) > 10
    assert {name for name, value in fill(path).items() if value} >= required


def test_secrets_are_random_and_nobody_else_may_read_them(path: Path, tmp_path: Path):
    first, second = fill(path), fill(tmp_path / "other")
    secrets = [name for name in first if SECRET.search(name)]
    assert len(secrets) >= 10
    values = [values[name] for values in (first, second) for name in secrets]
    assert len(set(values)) == len(values)
    assert all(value and len(value) >= 20 for value in values)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_there_stays_and_what_is_empty_is_filled(path: Path):
    path.write_text("# mine\nTAXI_SOURCE=tlc\nPOSTGRES_PASSWORD='a $1 \\1'\nJWT_SECRET=\nMAGE_PORT=1")
    fill(path)
    lines = path.read_text().splitlines()
    assert lines[:3] == ["# mine", "TAXI_SOURCE=tlc", "POSTGRES_PASSWORD='a $1 \\1'"]
    assert re.fullmatch(r"JWT_SECRET=[\w-]{20,}", lines[3])
    assert lines[4] == "MAGE_PORT=1"
    before = path.read_text()
    assert env_file.complete(path, env_file.containers(env_file.read(path))) == []
    assert path.read_text() == before


@pytest.mark.parametrize(
    "text",
    [
        "GCS_PORT=4443 # the emulator's",
        "export GCS_PORT='4443' # a comment",
        'JWT_SECRET="two\nGCS_PORT=9\nlines"\n  GCS_PORT=4443',
        "A='\nB=1'\nGCS_PORT = 4443\r\nC=it's",
    ],
)
def test_values_are_read_as_by_the_programs(path: Path, text: str):
    path.write_text(text)
    assert env_file.read(path) == dotenv.dotenv_values(path, interpolate=False)
    assert env_file.containers(env_file.read(path))["STORAGE_EMULATOR_HOST"] == "http://127.0.0.1:4443"


def test_lines_of_a_value_are_no_settings(path: Path):
    path.write_text("KEY='\nJWT_SECRET=\n'\nJWT_SECRET=\nJWT_SECRET=''\n")
    env_file.complete(path, {"JWT_SECRET": "secret"})
    assert path.read_text() == "KEY='\nJWT_SECRET=\n'\nJWT_SECRET=secret\nJWT_SECRET=secret\n"


def test_the_example_can_be_completed(path: Path):
    path.write_text((PROJECT / ".env.example").read_text())
    values = fill(path)
    assert values["POSTGRES_HOST"] == "127.0.0.1"
    assert values["POSTGRES_PASSWORD"]
    assert values["TAXI_WORKSPACE"] == "workspace"
    assert len(re.findall("^POSTGRES_PASSWORD=", path.read_text(), re.MULTILINE)) == 1


def test_destinations_of_ones_own_are_left_alone(path: Path):
    path.write_text("POSTGRES_HOST=db.example.org\nPOSTGRES_USER=me\nGCS_BUCKET=mine\nMYSQL_HOST=10.1.1.1\n")
    values = fill(path)
    assert values["POSTGRES_HOST"] == "db.example.org"
    assert values["GCS_BUCKET"] == "mine"
    assert not {"STORAGE_EMULATOR_HOST", "MYSQL_PORT", "MYSQL_PASSWORD"} & values.keys()


def test_a_port_in_use_is_passed_over():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert int(env_file.free_port(port)) > port


def test_a_file_that_cannot_be_replaced_stays_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch):
    path.write_text("JWT_SECRET=\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        fill(path)
    assert path.read_text() == "JWT_SECRET=\n"
    assert list(path.parent.iterdir()) == [path]


def test_it_needs_nothing_but_python():
    script = PROJECT / "launchers" / "env_file.py"
    code = f"import runpy; runpy.run_path({str(script)!r}, run_name='env_file')"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def test_secrets_of_others_are_kept_from_mage_and_airflow():
    services = yaml.safe_load(COMPOSE)["services"]
    of_others = {
        "mage": {
            "POSTGRES_ADMIN_PASSWORD",
            "MYSQL_ROOT_PASSWORD",
            "AIRFLOW_PASSWORD",
            "AIRFLOW_FERNET_KEY",
            "AIRFLOW_DATABASE_PASSWORD",
        },
        "airflow-scheduler": {
            "POSTGRES_ADMIN_PASSWORD",
            "MYSQL_ROOT_PASSWORD",
            "MAGE_DATABASE_PASSWORD",
            "JWT_SECRET",
            "TAXI_TRIGGER_TOKEN",
        },
    }
    for service, names in of_others.items():
        environment = services[service]["environment"]
        assert {name for name in names if environment[name] == ""} == names
