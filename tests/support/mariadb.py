"""A real MariaDB for tests: Debian's `mariadb-server-core` and `mariadb-client-core`, on a free port.

One server per test process, in a temporary folder and under an unprivileged account. Its time zone is far
from UTC, its TLS certificate has its own authority, and `SELECT ... INTO OUTFILE` writes to its folder.
Tests that need it are skipped if the programs are missing.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy.engine import URL

from nyc_taxi.local.process import HOST, free_port
from nyc_taxi.local.unprivileged import Account, account
from nyc_taxi.pipelines.bikeshare.database import Database
from tests.support.waiting import until

PROGRAMS = ("mariadbd", "mariadb-install-db", "openssl")
TIME_ZONE = "-09:30"
USER = "bikeshare"
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

SETTINGS = """
[mysqld]
datadir={folder}/data
socket={folder}/socket
pid-file={folder}/pid
secure-file-priv={folder}/exported
bind-address={host}
skip-name-resolve
port={port}
default-time-zone={zone}
character-set-server=latin1
sql-mode=
ssl-ca={folder}/ca.pem
ssl-cert={folder}/server.pem
ssl-key={folder}/server.key
innodb-buffer-pool-size=16M
innodb-log-file-size=8M
"""
"""Options of real-world servers: another time zone, another character set, no date validation."""


@dataclass(frozen=True)
class MariaDb:
    """A running server."""

    folder: Path
    port: int
    password: str = field(repr=False)

    def database(self, name: str, ssl_ca: str = "") -> Database:
        """Return a database of the server for the flow, creating it if necessary."""
        self.run(f"CREATE DATABASE IF NOT EXISTS `{name}`", database=None)
        url = URL.create("mysql+pymysql", USER, self.password, HOST, self.port, name)
        return Database(url, ssl_ca)

    def run(self, *statements: str, database: str | None) -> list[tuple[Any, ...]]:
        """Execute statements without the code under test; returns the rows of the last."""
        connection = pymysql.connect(
            host=HOST, port=self.port, user=USER, password=self.password, database=database, charset="utf8mb4"
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            connection.commit()
            return list(cursor.fetchall())

    def export(self, query: str, escape: str, database: str) -> bytes:
        """Export a query as Cloud SQL does; `escape` is the escape character in hex."""
        path = self.folder / "exported" / uuid.uuid4().hex
        mark = chr(int(escape, 16)).replace("\\", "\\\\")
        self.run(
            f"{query} INTO OUTFILE '{path}' CHARACTER SET utf8mb4 FIELDS TERMINATED BY ','"
            rf""" OPTIONALLY ENCLOSED BY '"' ESCAPED BY '{mark}' LINES TERMINATED BY '\n'""",
            database=database,
        )
        return path.read_bytes()


@contextlib.contextmanager
def mariadb() -> Iterator[MariaDb]:
    """Yield a server; skips if Debian's packages are not installed."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install mariadb-server-core mariadb-client-core")
    folder = Path(tempfile.mkdtemp(prefix="nyc-taxi-mariadb-"))
    try:
        with _running(folder, account(folder / "data")) as server:
            yield server
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def _running(folder: Path, who: Account) -> Iterator[MariaDb]:
    server = MariaDb(folder, free_port(), secrets.token_urlsafe(12))
    certify(folder)
    settings = folder / "my.cnf"
    settings.write_text(SETTINGS.format(folder=folder, host=HOST, port=server.port, zone=TIME_ZONE))
    (folder / "users.sql").write_text(
        f"CREATE USER '{USER}'@'{HOST}' IDENTIFIED BY '{server.password}';\n"
        f"GRANT ALL ON *.* TO '{USER}'@'{HOST}' WITH GRANT OPTION;\n"
    )
    (folder / "exported").mkdir()
    for path in (folder, *folder.iterdir()):
        who.own(path)
    install = ["mariadb-install-db", f"--defaults-file={settings}", "--skip-test-db", "--skip-name-resolve"]
    installed = _start(who, [*install, "--auth-root-authentication-method=normal"], folder / "install.log")
    assert installed.wait(120) == 0, (folder / "install.log").read_text()
    command = ["mariadbd", f"--defaults-file={settings}", f"--init-file={folder / 'users.sql'}"]
    process = _start(who, command, folder / "server.log")

    def answers() -> bool:
        assert process.poll() is None, (folder / "server.log").read_text()
        with contextlib.suppress(pymysql.MySQLError):
            return bool(server.run("SELECT 1", database=None))
        return False

    try:
        until(answers, seconds=60)
        yield server
    finally:
        process.kill()  # nobody needs its data
        process.wait()


def _start(who: Account, command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": PATH, "LC_ALL": "C"},
            user=who.uid,
            group=who.gid,
            extra_groups=None if who.uid is None else [],
        )


def certify(folder: Path) -> Path:
    """Create a certificate authority and a server certificate; returns the authority's file."""
    ca, server = folder / "ca.pem", folder / "server.pem"
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    signed_by = ["-CA", str(ca), "-CAkey", str(ca.with_suffix(".key"))]
    for path, name, more in ((ca, "Test CA", []), (server, "some-project:some-instance", signed_by)):
        files = ["-keyout", str(path.with_suffix(".key")), "-out", str(path)]
        is_ca = "critical,CA:TRUE" if path == ca else "CA:FALSE"
        command = [*new, *files, "-subj", f"/CN={name}", "-addext", f"basicConstraints={is_ca}", *more]
        subprocess.run(command, check=True, capture_output=True)
    return ca
