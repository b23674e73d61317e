"""`make ui`: behind a login, on this machine only, and gone when it is stopped."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import dotenv
import httpx
import psutil
import pytest

from launchers.mage import ui
from launchers.mage.environment import log_file
from nyc_taxi.errors import SettingsError
from nyc_taxi.settings import PROJECT
from tests.support.mage import PAGES_KEY
from tests.support.modes import readable_by_others
from tests.support.waiting import until

LOGIN = (
    "DEFAULT_OWNER_EMAIL",
    "DEFAULT_OWNER_USERNAME",
    "DEFAULT_OWNER_PASSWORD",
    "JWT_SECRET",
    "TAXI_TRIGGER_TOKEN",
)


@pytest.fixture
def env_file(here, tmp_path, monkeypatch):
    for name in LOGIN:
        monkeypatch.setenv(name, "")  # monkeypatch puts back what is set meanwhile
    monkeypatch.setattr(ui, "ENV_FILE", tmp_path / ".env")
    return tmp_path / ".env"


def test_password_and_key_are_random_kept_and_private(env_file):
    ui.ensure_login()
    first = dotenv.dotenv_values(env_file)
    assert set(first) == set(LOGIN)
    assert first.items() <= os.environ.items()
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600

    ui.ensure_login()
    assert dotenv.dotenv_values(env_file) == first

    env_file.unlink()
    for name in LOGIN:
        os.environ[name] = ""
    ui.ensure_login()
    second = dotenv.dotenv_values(env_file)
    assert second["DEFAULT_OWNER_PASSWORD"] != first["DEFAULT_OWNER_PASSWORD"]
    assert second["JWT_SECRET"] != first["JWT_SECRET"]


def test_what_is_in_the_file_already_stays(env_file):
    env_file.write_text("# mine\nTAXI_SOURCE=tlc\nDEFAULT_OWNER_PASSWORD=\n")
    ui.ensure_login()
    assert env_file.read_text().startswith("# mine\nTAXI_SOURCE=tlc\nDEFAULT_OWNER_PASSWORD=")
    assert env_file.read_text().count("DEFAULT_OWNER_PASSWORD") == 1
    assert dotenv.dotenv_values(env_file)["DEFAULT_OWNER_PASSWORD"]


def test_a_port_in_use_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            SettingsError, match=f"port {port} is in use: choose another, for example make ui PORT={port + 1}"
        ):
            ui.require_free(port)
    ui.require_free(port)


@pytest.mark.parametrize("text", ["99999", "65536", "0", "-1", "", "http", "٣"])
def test_an_invalid_port_is_named(text):
    with pytest.raises(SettingsError, match=f"port '{text}' is not valid: choose one from 1 to 65535"):
        ui.parse_port(text)
    assert (ui.parse_port("1"), ui.parse_port("65535")) == (1, 65535)


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SettingsError, match=rf"^{file}/x cannot be written \(Not a directory\): set MAGE_D"):
        log_file({"MAGE_DATA_DIR": f"{file}/x"}, "ui")
    assert log_file({"MAGE_DATA_DIR": str(tmp_path / "new")}, "ui") == tmp_path / "new" / "logs" / "ui.log"


@pytest.mark.mage
@pytest.mark.parametrize("command", ["ui", "run"])
def test_where_nothing_can_be_written_it_is_one_sentence(environment, tmp_path, command):
    file = tmp_path / "file"
    file.touch()
    done = subprocess.run(
        [sys.executable, "-m", f"launchers.mage.{command}", *(["--month", "2020-04"] * (command == "run"))],
        cwd=PROJECT,
        env={**os.environ, **environment, "MAGE_DATA_DIR": str(file)},
        capture_output=True,
        text=True,
        check=False,
    )
    message = f"{file} cannot be written (Not a directory): set MAGE_DATA_DIR to a folder of your own.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, message, "")


@pytest.mark.mage
def test_pages_ask_for_a_login_and_end_with_ctrl_c(environment, request, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    data = str(tmp_path / "mage_data")  # without the users of other tests
    options: dict[str, Any] = {
        "cwd": PROJECT,
        "env": {
            **os.environ,
            **{name: value for name, value in environment.items() if name != "MAGE_REPO_PATH"},
            "MAGE_DATA_DIR": data,
            **dict.fromkeys(LOGIN, "taxi@localhost.localdomain"),
            "TAXI_TRIGGER_TOKEN": "token",
        },
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "text": True,
    }
    command = [sys.executable, "-m", "launchers.mage.ui", "--port"]
    process = subprocess.Popen([*command, str(port)], **options)
    request.addfinalizer(process.terminate)  # its children end with it
    assert process.stdout
    shown = [next(process.stdout)]
    while not shown[-1].startswith("Ctrl-C"):
        shown.append(next(process.stdout))
    assert f"Mage:     http://127.0.0.1:{port}\n" in shown
    assert re.search(r"^New file: POST /api/pipeline_schedules/\d+/api_trigger", "".join(shown), re.MULTILINE)

    answer = httpx.get(f"http://127.0.0.1:{port}/api/pipelines", trust_env=False).json()
    assert answer["error"]["code"] == 401
    credentials = {"email": "taxi@localhost.localdomain", "password": "taxi@localhost.localdomain"}
    body = {"session": credentials, "api_key": PAGES_KEY}
    session = httpx.post(f"http://127.0.0.1:{port}/api/sessions", json=body, trust_env=False, timeout=60)
    expires = dt.datetime.fromisoformat(session.json()["session"]["expires"]).replace(tzinfo=dt.UTC)
    assert dt.timedelta(hours=7) < expires - dt.datetime.now(dt.UTC) < dt.timedelta(hours=9)

    kernel = until(lambda: kernel_of(process.pid))
    children = psutil.Process(process.pid).children(recursive=True)
    listening = [
        connection.laddr
        for child in children
        for connection in child.connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    # ipykernel has one port for output of forks, which a random number authenticates
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert port in {address.port for address in listening}
    assert len(set(listening)) <= 2
    sockets = Path(kernel["ip"]).parent
    assert kernel["transport"] == "ipc"
    assert len(kernel["key"]) == 64
    assert readable_by_others(sockets) == []
    assert len(list(sockets.glob("python3-*"))) == 5

    second = subprocess.run([*command, str(port + 1)], **options, check=False)
    assert (second.returncode, second.stdout) == (
        1,
        f"Mage is already running on {data}, at http://127.0.0.1:{port}: use it, "
        "stop it, or set MAGE_DATA_DIR to another folder.\n",
    )

    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "Mage has stopped.\n")
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert not sockets.exists()


def kernel_of(process: int) -> dict[str, Any] | None:
    """The connection file of the editor's kernel below a process, once it listens."""
    for child in psutil.Process(process).children(recursive=True):
        try:
            command = child.cmdline()
        except psutil.NoSuchProcess:
            continue
        if "ipykernel_launcher" in command:
            connection = json.loads(Path(command[-1]).read_text())
            heartbeat = Path(f"{connection['ip']}-{connection['hb_port']}")
            return dict(connection) if connection["transport"] == "tcp" or heartbeat.exists() else None
    return None
