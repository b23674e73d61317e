"""Embedded MySQL server for a machine that has none: started on first use, kept in a folder.

It speaks the real MySQL protocol to any client, with DuckDB behind it: enough to be filled and to be
read from, not a MySQL. In the folder:

    lock, alive  see nyc_taxi.local.process
    data.duckdb  the databases
    password     of the user `bikeshare`, readable by this account only
    port         of the last start
    server.log

Invariants: at most one server runs on a folder, whoever asks and however many at once; it listens on
127.0.0.1 only and asks for the password; it outlives the process that started it; after a kill or a
reboot the next `ensure` starts it again with all that was committed.
"""

from __future__ import annotations

import contextlib
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nyc_taxi.errors import SourceError
from nyc_taxi.local import process
from nyc_taxi.local.process import HOST

if TYPE_CHECKING:
    from pymysql import Connection

USER = "bikeshare"

PATIENCE = 60.0
"""Seconds the server may take to answer or to end; it takes one, more on a busy machine."""


@dataclass(frozen=True)
class Server:
    """A running embedded server."""

    host: str
    port: int
    user: str
    folder: Path
    started: bool
    """Whether this call started it."""
    password: str = field(repr=False)

    def connect(self, database: str | None = None) -> Connection[Any]:
        """A connection of pymysql; raises pymysql.OperationalError when there is no answer."""
        import pymysql

        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=database,
            connect_timeout=5,
            ssl_disabled=True,  # the server offers none; looking for certificates takes longer than all else
        )


def ensure(folder: Path) -> Server:
    """The server of a folder, started when it does not run; safe to call from many processes at once.

    Raises SourceError that says what failed and names the server's log.
    """
    with _locked(folder):
        return _answering(folder) or _start(folder)


def running(folder: Path) -> Server | None:
    """The folder's server when it runs and answers, otherwise None; starts nothing."""
    if not process.ever_asked_for(folder):
        return None
    with _locked(folder):
        return _answering(folder)


def stop(folder: Path) -> bool:
    """Shut the folder's server down, cutting off its clients; False when it did not run."""
    if not process.ever_asked_for(folder):
        return False
    with _locked(folder):
        server = _answering(folder)
        if server is None:
            return False
        with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SHUTDOWN")
        deadline = time.monotonic() + PATIENCE
        while process.alive(folder):
            if time.monotonic() > deadline:
                raise SourceError(f"the embedded MySQL server in {folder} does not end: end it by hand.")
            time.sleep(0.02)
        return True


def _start(folder: Path) -> Server:
    password = folder / "password"
    if not password.exists():
        password.touch(0o600)
        password.write_text(secrets.token_urlsafe(24))
    port = process.free_port(_port(folder))
    (folder / "port").write_text(str(port))
    command = [sys.executable, "-m", "nyc_taxi.local.mysql_server", str(folder), str(port)]
    with process.life(folder) as inherited:
        subprocess.run(
            ["/bin/sh", "-c", f"{shlex.join(command)} >server.log 2>&1 &"],  # so that it is nobody's child
            cwd=folder,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C here does not reach it
            pass_fds=[inherited],
            check=True,
        )
    server = _answering(folder, started=True)
    if server is None:
        log = folder / "server.log"
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no message"]
        raise SourceError(f"the embedded MySQL server in {folder} did not start: {said[-1]} (see {log}).")
    return server


def _answering(folder: Path, started: bool = False) -> Server | None:
    """Wait until the server lets clients in; None when it is not there."""
    import pymysql

    deadline = time.monotonic() + PATIENCE
    while process.alive(folder):
        password = (folder / "password").read_text()
        server = Server(HOST, _port(folder) or 0, USER, folder, started, password)
        with contextlib.suppress(pymysql.MySQLError):
            server.connect().close()
            return server
        if time.monotonic() > deadline:
            raise SourceError(
                f"the embedded MySQL server in {folder} runs but does not answer on {HOST}:{server.port}:"
                f" does another container run it? (its log: {folder / 'server.log'})"
            )
        time.sleep(0.02)
    return None


def _port(folder: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int((folder / "port").read_text())
    return None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        with process.locked(folder):
            yield
    except OSError as error:
        raise SourceError(
            f"the embedded MySQL server cannot use {folder} ({error}): choose another TAXI_WORKSPACE."
        ) from error
