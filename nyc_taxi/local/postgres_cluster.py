"""The files and processes of the embedded PostgreSQL; `nyc_taxi.local.postgres` is its interface."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import subprocess
import sys
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

TIMEOUT = 60.0
"""Seconds that a server may take to start or stop; recovery replays at most `max_wal_size`."""

SETTINGS = """\
# Written by nyc_taxi at every start; use ALTER SYSTEM for permanent changes.
listen_addresses = '127.0.0.1'  # this machine only
port = {port}
unix_socket_directories = ''    # a socket's path is limited to 107 bytes, which folders often exceed
authentication_timeout = 10s    # clients without a password hold connections no longer
timezone = 'UTC'                # the same on every machine
shared_buffers = 128MB          # COPY does not need more
maintenance_work_mem = 128MB    # sorts of CREATE INDEX
max_wal_size = 2GB              # no checkpoint during a month's COPY, at the cost of this much disk
checkpoint_timeout = 15min      # likewise, for slow disks
wal_compression = on            # smaller full-page images
wal_level = minimal             # without replicas, COPY into a new table skips the WAL
max_wal_senders = 0             # required by wal_level = minimal
random_page_cost = 1.1          # laptops have SSDs
jit = off                       # compiling a query takes longer than most queries here
"""

SYNCFS = """\
recovery_init_sync_method = syncfs  # after a crash one call syncs all files, of which each month adds some
"""
"""For Linux and PostgreSQL 14: after a kill, readers had waited seconds for 1,300 files."""


@dataclass(frozen=True)
class Cluster:
    """The location of the server's files, and the account that runs it."""

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
        """Return the password of a role of `postgres_roles`; empty before `create_database`."""
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
        """Return whether any process of the server is running, in any container."""
        return process.alive(self.home)

    def connect(self, dbname: str) -> connection:
        """Connect as the superuser; raises psycopg2.OperationalError."""
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
        options = [f"--pgdata={self.data}", f"--log={self.log}", "--wait", f"--timeout={TIMEOUT:.0f}"]
        return self.account.run([program, *options, *action], keep_open)

    def initialise(self) -> None:
        """Create a new cluster atomically."""
        for leftover in self.home.glob("new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix="new-", dir=self.home))
        password = partial / "password"
        self._write_secret(password, secrets.token_urlsafe(24))
        self.account.own(partial)
        # The C locale sorts by code point, exists everywhere and never changes with system libraries
        options = ["--username", USER, "--encoding", "UTF8", "--no-locale", "--auth", "scram-sha-256"]
        program = find(self.data, self.account) / "initdb"
        done = self.account.run([program, *options, f"--pwfile={password}", f"--pgdata={partial / 'data'}"])
        if done.returncode != 0:
            raise DestinationError(
                f"PostgreSQL could not be initialised in {self.home}: {done.stderr.strip()}"
            )
        with (partial / "data" / "postgresql.conf").open("a") as file:
            file.write("\ninclude_if_exists = 'taxi.conf'\n")
        partial.rename(self.folder)

    def _write_secret(self, file: Path, secret: str) -> None:
        new = file.with_suffix(".new")
        new.touch(0o600)
        new.write_text(secret)
        self.account.own(new)
        new.rename(file)

    def start(self) -> None:
        """Start the server and wait until it accepts clients; none of its processes may be running."""
        # No process of the server is running, so its pid file is stale; PostgreSQL would trust it if
        # another process has the pid now.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        logged = self.log.stat().st_size if self.log.exists() else 0
        kept = self.port
        with process.life(self.home) as inherited:
            for attempt in range(4):
                port = process.free_port(kept if attempt == 0 else None)
                settings = self.data / "taxi.conf"
                settings.write_text(SETTINGS.format(port=port) + SYNCFS * self._knows_syncfs())
                self.account.own(settings)
                done = self.control("start", keep_open=(inherited,))
                if done.returncode == 0:
                    return
                lines = self.log.read_bytes()[logged:].decode(errors="replace").splitlines()
                if not any("Address already in use" in line for line in lines):
                    break
        reasons = [line for line in lines if "FATAL" in line] or [done.stderr.strip()]
        raise DestinationError(f"PostgreSQL did not start in {self.folder}: {reasons[-1]} (see {self.log}).")

    def _knows_syncfs(self) -> bool:
        return sys.platform == "linux" and int((self.data / "PG_VERSION").read_text()) >= 14

    def accepts(self, dbname: str) -> bool:
        """Return whether this cluster, not another program on its port, accepts a login."""
        import psycopg2

        try:
            with contextlib.closing(self.connect(dbname)) as database, database.cursor() as cursor:
                cursor.execute("SHOW data_directory")
                row = cursor.fetchone()
                return row is not None and Path(row[0]) == self.data
        except psycopg2.Error:
            return False

    def wait_until_ready(self) -> bool:
        """Wait until the server accepts clients; returns False if none of its processes is running."""
        deadline = time.monotonic() + TIMEOUT
        while self.alive():
            if self.accepts("postgres"):
                return True
            if time.monotonic() > deadline:
                raise DestinationError(
                    f"PostgreSQL in {self.folder} has processes but does not respond on {HOST}:{self.port}: "
                    f"does another container run it? (its log: {self.log})"
                )
            time.sleep(0.05)
        return False

    def create_database(self) -> None:
        """Create the database and the roles if they are missing, and renew their passwords and rights.

        Clusters of earlier versions lack some.
        """
        with contextlib.closing(self.connect("postgres")) as database, database.cursor() as cursor:
            database.autocommit = True
            passwords = {role: self.password_of(role) or secrets.token_urlsafe(24) for role in ROLES}
            postgres_roles.create(cursor, passwords)
            for role, password in passwords.items():  # last: a file implies that its role exists
                if not self.password_of(role):
                    self._write_secret(self.folder / f"password-{role}", password)
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", [DBNAME])
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {DBNAME}")
        with contextlib.closing(self.connect(DBNAME)) as database, database, database.cursor() as cursor:
            if not postgres_roles.own(cursor, DBNAME):
                postgres_roles.take_over(cursor, DBNAME)
            postgres_roles.let_read(cursor, DBNAME)
