"""The files and processes of the embedded PostgreSQL; `nyc_taxi.local.postgres` is its face."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nyc_taxi.errors import DestinationError
from nyc_taxi.local import postgres_roles, process
from nyc_taxi.local.postgres_programs import find
from nyc_taxi.local.process import HOST
from nyc_taxi.local.unprivileged import Account

if TYPE_CHECKING:
    from psycopg2.extensions import connection

USER = "postgres"
DBNAME = "taxi"
ROLES = (postgres_roles.LOADER, postgres_roles.READER)

PATIENCE = 60.0
"""Seconds a server may take to answer or to stop: recovery replays at most `max_wal_size`."""

SETTINGS = """\
# Written by nyc_taxi at every start; ALTER SYSTEM changes a setting for good.
listen_addresses = '127.0.0.1'  # this machine only
port = {port}
unix_socket_directories = ''    # a socket's path may hold 107 bytes, a folder's name is often longer
timezone = 'UTC'                # the same on every machine
shared_buffers = 128MB          # COPY does not need more, and a laptop has other uses for it
maintenance_work_mem = 128MB    # sorts of CREATE INDEX
max_wal_size = 2GB              # a month's COPY without a checkpoint in its midst; no more disk than that
checkpoint_timeout = 15min      # the same, for slow disks
wal_compression = on            # whole pages in the log: smaller writes on one disk
wal_level = minimal             # no replica follows: what COPY puts into a new table need not be logged too
max_wal_senders = 0             # as that level wants it
random_page_cost = 1.1          # laptops have SSDs
jit = off                       # compiling a query takes longer than most queries here
"""


@dataclass(frozen=True)
class Cluster:
    """Where the server's files are, and who runs it."""

    home: Path
    account: Account

    @property
    def folder(self) -> Path:
        return self.home / "cluster"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def password(self) -> str:
        """The superuser's."""
        return (self.folder / "password").read_text()

    def password_of(self, role: str) -> str:
        """Of a role of `postgres_roles`; empty before `create_database`."""
        file = self.folder / f"password-{role}"
        return file.read_text() if file.exists() else ""

    @property
    def port(self) -> int | None:
        """The port of the last start."""
        with contextlib.suppress(FileNotFoundError):
            if match := re.search(r"^port = (\d+)", (self.data / "taxi.conf").read_text(), re.MULTILINE):
                return int(match[1])
        return None

    def alive(self) -> bool:
        """Whether any process of the server is left, in whatever container."""
        return process.alive(self.home)

    def connect(self, dbname: str) -> connection:
        """Raises psycopg2.OperationalError when there is no answer."""
        import psycopg2

        return psycopg2.connect(
            host=HOST,
            port=self.port,
            user=USER,
            password=self.password,
            dbname=dbname,
            connect_timeout=5,
            sslmode="disable",
            gssencmode="disable",
        )

    def control(self, *action: str, keep_open: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run pg_ctl and wait for it."""
        program = find(self.data, self.account) / "pg_ctl"
        options = [f"--pgdata={self.data}", f"--log={self.log}", "--wait", f"--timeout={PATIENCE:.0f}"]
        return self.account.run([program, *options, *action], keep_open)

    def initialise(self) -> None:
        """Make a new cluster, whole or not at all."""
        for half in self.home.glob("new-*"):
            shutil.rmtree(half, ignore_errors=True)
        half = Path(tempfile.mkdtemp(prefix="new-", dir=self.home))
        password = half / "password"
        self._write_secret(password, secrets.token_urlsafe(24))
        self.account.own(half)
        # The C locale: sorts by code point, is on every machine and never changes with its libraries
        options = ["--username", USER, "--encoding", "UTF8", "--no-locale", "--auth", "scram-sha-256"]
        program = find(self.data, self.account) / "initdb"
        done = self.account.run([program, *options, f"--pwfile={password}", f"--pgdata={half / 'data'}"])
        if done.returncode != 0:
            raise DestinationError(
                f"PostgreSQL could not be initialised in {self.home}: {done.stderr.strip()}"
            )
        with (half / "data" / "postgresql.conf").open("a") as file:
            file.write("\ninclude_if_exists = 'taxi.conf'\n")
        half.rename(self.folder)

    def _write_secret(self, file: Path, secret: str) -> None:
        new = file.with_suffix(".new")
        new.touch(0o600)
        new.write_text(secret)
        self.account.own(new)
        new.rename(file)

    def start(self) -> None:
        """Start the server and wait until it lets clients in; no process of it may be left."""
        # No process of the server is left, so its pid file is stale; PostgreSQL itself would believe it
        # when the number has meanwhile gone to another process.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        logged = self.log.stat().st_size if self.log.exists() else 0
        kept = self.port
        with process.life(self.home) as inherited:
            for attempt in range(4):
                port = process.free_port(kept if attempt == 0 else None)
                settings = self.data / "taxi.conf"
                settings.write_text(SETTINGS.format(port=port))
                self.account.own(settings)
                done = self.control("start", keep_open=(inherited,))
                if done.returncode == 0:
                    return
                lines = self.log.read_bytes()[logged:].decode(errors="replace").splitlines()
                if not any("Address already in use" in line for line in lines):
                    break
        reasons = [line for line in lines if "FATAL" in line] or [done.stderr.strip()]
        raise DestinationError(f"PostgreSQL did not start in {self.folder}: {reasons[-1]} (see {self.log}).")

    def accepts(self, dbname: str) -> bool:
        """Whether it is this very cluster that lets us in, and not another program on its port."""
        import psycopg2

        try:
            with contextlib.closing(self.connect(dbname)) as database, database.cursor() as cursor:
                cursor.execute("SHOW data_directory")
                row = cursor.fetchone()
                return row is not None and Path(row[0]) == self.data
        except psycopg2.Error:
            return False

    def answers(self) -> bool:
        """Wait until the server lets clients in; False when no process of it is left."""
        deadline = time.monotonic() + PATIENCE
        while self.alive():
            if self.accepts("postgres"):
                return True
            if time.monotonic() > deadline:
                raise DestinationError(
                    f"PostgreSQL in {self.folder} has processes but does not answer on {HOST}:{self.port}: "
                    f"does another container run it? (its log: {self.log})"
                )
            time.sleep(0.05)
        return False

    def create_database(self) -> None:
        """Create the database and the roles where they are missing; also for clusters without roles."""
        with contextlib.closing(self.connect("postgres")) as database, database.cursor() as cursor:
            database.autocommit = True
            if not all(self.password_of(role) for role in ROLES):
                passwords = {role: secrets.token_urlsafe(24) for role in ROLES}
                postgres_roles.create(cursor, passwords)
                for role, password in passwords.items():  # last: a file says that its role is there
                    self._write_secret(self.folder / f"password-{role}", password)
            if postgres_roles.own(cursor, DBNAME):
                return
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", [DBNAME])
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {DBNAME}")
        with contextlib.closing(self.connect(DBNAME)) as database, database, database.cursor() as cursor:
            postgres_roles.take_over(cursor, DBNAME)
