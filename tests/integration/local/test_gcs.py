"""The GCS emulator: one a folder, whoever asks, through kills and restarts."""

from __future__ import annotations

import os
import platform
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from nyc_taxi.cli.commands import app
from nyc_taxi.errors import DestinationError
from nyc_taxi.local import confined, gcs, process
from nyc_taxi.settings import PROJECT

ASK = """
import sys
from pathlib import Path
from nyc_taxi.local import gcs
print(gcs.ensure(Path(sys.argv[1])))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "a folder's name" / "gcs"
    gcs.stop(tmp_path / "a folder's name" / "gcs")


def ask(server: gcs.Server, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = HTTPConnection(server.host, server.port, timeout=10)
    connection.request(method, path, body)
    answer = connection.getresponse()
    return answer.status, answer.read()


def put(server: gcs.Server, name: str, data: bytes) -> None:
    path = f"/upload/storage/v1/b/taxi/o?uploadType=media&name={name}"
    assert ask(server, "POST", path, data)[0] == 200


def get(server: gcs.Server, name: str) -> bytes:
    return ask(server, "GET", f"/download/storage/v1/b/taxi/o/{name}?alt=media")[1]


def test_it_starts_once_and_has_its_bucket(folder: Path) -> None:
    server = gcs.ensure(folder)
    assert server.started
    assert ask(server, "GET", "/storage/v1/b/taxi")[0] == 200
    again = gcs.ensure(folder)
    assert (again.port, again.started) == (server.port, False)
    assert gcs.running(folder) == again


def test_what_a_child_process_needs(folder: Path) -> None:
    server = gcs.ensure(folder)
    assert server.environment() == {
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{server.port}",
        "GCS_BUCKET": "taxi",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux confines the server")
@pytest.mark.parametrize("target", ["owned.txt", "gcs/pid", "kept.txt"])
def test_names_of_objects_reach_no_files_outside(folder: Path, target: str) -> None:
    server = gcs.ensure(folder)
    put(server, "inside", b"1")
    kept = folder.parent / "kept.txt"
    kept.write_text("mine")
    pid = (folder / "pid").read_text()
    name = quote(f"../../../{target}", safe="")
    status, _ = ask(
        server, "POST", f"/upload/storage/v1/b/taxi/o?uploadType=media&name={name}", b"an attacker's"
    )
    assert status >= 400
    assert ask(server, "DELETE", f"/storage/v1/b/taxi/o/{name}")[0] >= 400
    assert (kept.read_text(), (folder / "pid").read_text()) == ("mine", pid)
    assert not (folder.parent / "owned.txt").exists()
    assert get(server, "inside") == b"1"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux confines the server")
def test_names_of_objects_read_no_files_outside(folder: Path) -> None:
    server = gcs.ensure(folder)
    (folder.parent / "kept.txt").write_text("mine")
    name = quote("../../../kept.txt", safe="")
    status, body = ask(server, "GET", f"/download/storage/v1/b/taxi/o/{name}?alt=media")
    assert status >= 400
    assert b"mine" not in body


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux confines the server")
def test_a_script_from_path_starts_and_writes_no_files_outside(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As version managers install it: the script finds its program through another file."""
    (tmp_path / "settings").write_text(f"PROGRAM={shlex.quote(str(gcs.program()))}\n")
    shim = tmp_path / "fake-gcs-server"
    shim.write_text(f'#!/bin/sh\n. {shlex.quote(str(tmp_path))}/settings\nexec "$PROGRAM" "$@" 2>/dev/null\n')
    shim.chmod(0o755)
    monkeypatch.setattr(gcs, "program", lambda: shim)
    server = gcs.ensure(folder)
    put(server, "inside", b"1")
    name = quote("../../../owned.txt", safe="")
    status, _ = ask(server, "POST", f"/upload/storage/v1/b/taxi/o?uploadType=media&name={name}", b"2")
    assert status >= 400
    assert not (folder.parent / "owned.txt").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux confines the server")
def test_a_program_with_libraries_reads_them_wherever_they_are(tmp_path: Path) -> None:
    """Such as Python in an environment, as a program that Nix or Homebrew installed."""
    code = "import json, pathlib, sys; pathlib.Path(sys.argv[1], 'x').touch()"
    command = [sys.executable, "-IS", confined.__file__, str(tmp_path / "data"), sys.executable, "-c", code]
    assert subprocess.run([*command, str(tmp_path / "data")]).returncode == 0
    outside = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True)
    assert "PermissionError" in outside.stderr
    assert not (tmp_path / "x").exists()


def test_a_system_that_cannot_confine_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(confined, "_call", lambda *_: -1)  # as without Landlock, or where seccomp refuses it
    confined.confine(tmp_path, gcs.program())
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot confine the GCS emulator" in line


def test_it_listens_on_this_machine_only(folder: Path) -> None:
    server = gcs.ensure(folder)
    with pytest.raises(ConnectionRefusedError):  # 127.0.0.2 is another address of the same machine
        socket.create_connection(("127.0.0.2", server.port), timeout=5)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no 127.0.0.2")
def test_many_at_once_share_one_that_outlives_them(folder: Path) -> None:
    command = [sys.executable, "-c", ASK, str(folder)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT) for _ in range(4)]
    lines = [running.communicate(timeout=60)[0] for running in processes]
    server = gcs.running(folder)
    assert server
    assert [f"port={server.port}," in line for line in lines] == [True] * 4
    assert sum("started=True" in line for line in lines) == 1


def test_objects_outlive_a_kill(folder: Path) -> None:
    server = gcs.ensure(folder)
    put(server, "a%2Fb", b"kept")
    os.kill(int((folder / "pid").read_text()), signal.SIGKILL)
    assert gcs.running(folder) is None
    again = gcs.ensure(folder)
    assert again.started
    assert again.port == server.port
    assert get(again, "a%2Fb") == b"kept"


def test_stop(folder: Path) -> None:
    assert not gcs.stop(folder)
    assert not folder.exists(), "asking must leave nothing behind"
    server = gcs.ensure(folder)
    put(server, "a", b"kept")
    assert gcs.stop(folder)
    assert gcs.running(folder) is None
    assert not gcs.stop(folder)
    assert get(gcs.ensure(folder), "a") == b"kept"


def test_a_stale_number_is_nobodys_to_end(folder: Path) -> None:
    gcs.ensure(folder)
    gcs.stop(folder)
    with subprocess.Popen(["sleep", "60"]) as innocent:
        (folder / "pid").write_text(str(innocent.pid))
        assert not gcs.stop(folder)
        assert innocent.poll() is None
        innocent.kill()


def test_a_port_that_is_taken_meanwhile(folder: Path) -> None:
    server = gcs.ensure(folder)
    gcs.stop(folder)
    with socket.create_server((server.host, server.port)):
        assert gcs.ensure(folder).port != server.port


def test_a_port_that_is_taken_at_the_last_moment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind((process.HOST, 0))
        ports = [taken.getsockname()[1], process.free_port()]
        monkeypatch.setattr(process, "free_port", lambda last=None: ports.pop(0))
        assert gcs.ensure(folder).started
    assert ports == []


def test_a_server_that_does_not_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcs, "program", lambda: Path("/bin/ls"))
    with pytest.raises(DestinationError, match=r"did not start: .*ls.*\(see .*server\.log\)"):
        gcs.ensure(folder)


def test_a_folder_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "gcs").write_text("a file")
    with pytest.raises(DestinationError, match="choose another TAXI_WORKSPACE"):
        gcs.ensure(tmp_path / "gcs")


def test_a_machine_that_no_program_fits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        DestinationError,
        match=r"no GCS emulator is available for \w+ on riscv64: put .* on PATH, .*, or set GCS_B",
    ):
        gcs.program()
    own = tmp_path / "fake-gcs-server"
    own.touch(0o755)
    assert gcs.program() == own


def test_taxi_stop_ends_it(workspace: Path) -> None:
    gcs.ensure(workspace / "gcs")
    result = CliRunner().invoke(app, ["stop"])
    assert "Stopped the GCS emulator." in result.stdout
    assert gcs.running(workspace / "gcs") is None
    assert "No embedded server is running." in CliRunner().invoke(app, ["stop"]).stdout
