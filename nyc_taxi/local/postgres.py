"""Embedded PostgreSQL for a machine that has none: started on first use, kept in a folder.

In the folder:

    lock            held while a process starts or stops the server
    alive           locked by the server's own processes: if it is free, none of them runs
    cluster/        created under another name, then renamed, so never incomplete
        data/       PostgreSQL's data directory; taxi.conf in it holds the settings below
        password    of the superuser `postgres`, readable by the server's account only
        password-*  of the roles of `postgres_roles`, readable by the server's account only
        server.log
    pg_service.conf how psql reads the tables (`PGSERVICEFILE`), readable by who started the server only
    moved           only where the server's account cannot enter the folder: the path of the rest

Invariants: at most one server runs on a folder, however many processes ask at once; it listens on
127.0.0.1 only and asks for the password; it outlives the process that started it; after a kill or a
reboot the next `ensure` starts it again, and PostgreSQL recovers what was committed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nyc_taxi.errors import DestinationError
from nyc_taxi.local import process
from nyc_taxi.local.postgres_cluster import DBNAME, Cluster
from nyc_taxi.local.postgres_cluster import USER as SUPERUSER
from nyc_taxi.local.postgres_roles import LOADER, READER
from nyc_taxi.local.process import HOST
from nyc_taxi.local.unprivileged import account, reachable_place

log = logging.getLogger(__name__)

SERVICE_FILE = "pg_service.conf"


@dataclass(frozen=True)
class Server:
    """A running embedded server, as its loader uses it."""

    host: str
    port: int
    user: str
    dbname: str
    folder: Path
    started: bool
    """Whether this call started it."""
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """A URL with the password, for SQLAlchemy."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.dbname}"

    @property
    def service_file(self) -> Path:
        """For `PGSERVICEFILE`: psql's `service=taxi` reads the tables, and its command shows no password."""
        return self.folder / SERVICE_FILE

    def environment(self) -> dict[str, str]:
        """What a child process needs so that `io_config.yaml` leads it to this server."""
        return {
            "POSTGRES_HOST": self.host,
            "POSTGRES_PORT": str(self.port),
            "POSTGRES_DBNAME": self.dbname,
            "POSTGRES_USER": self.user,
            "POSTGRES_PASSWORD": self.password,
        }


def ensure(folder: Path) -> Server:
    """The server of a folder, initialised and started if necessary; its database exists.

    Safe to call from many processes at once. Raises DestinationError that says what failed and names
    the server's log.
    """
    with _locked(folder):
        cluster = _cluster(folder)
        started = not cluster.answers()
        if started:
            if not cluster.folder.exists():
                cluster.initialise()
            cluster.start()
        cluster.create_database()
        server = _server(folder, cluster, started)
        _write_service(server, cluster.password_of(READER))
        return server


def superuser_url(server: Server, dbname: str = DBNAME) -> str:
    """As `Server.url`, for what the loader may not do: other databases and roles, files of the server."""
    password = _cluster(server.folder).password
    return f"postgresql://{SUPERUSER}:{password}@{server.host}:{server.port}/{dbname}"


def running(folder: Path) -> Server | None:
    """The folder's server when it runs and answers, otherwise None; starts nothing."""
    if not process.ever_started(folder):
        return None
    with _understood(folder):
        cluster = _cluster(folder)
        if not cluster.alive() or not cluster.accepts(DBNAME):
            return None
        if cluster.password_of(LOADER):
            return _server(folder, cluster, started=False)
    return ensure(folder)  # made before there were roles


def stop(folder: Path) -> bool:
    """Shut the folder's server down cleanly, cutting off its clients; False when it did not run."""
    if not process.ever_started(folder):
        return False
    with _locked(folder):
        cluster = _cluster(folder)
        if not cluster.answers():
            return False
        done = cluster.control("-m", "fast", "stop")
        if done.returncode != 0:
            raise DestinationError(f"PostgreSQL in {cluster.folder} did not stop: {done.stderr.strip()}")
        return True


@contextlib.contextmanager
def _understood(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DestinationError(
            f"the embedded PostgreSQL cannot use {folder} ({error}): choose another TAXI_WORKSPACE."
        ) from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with _understood(folder):
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)  # the server's account passes through; what is private lies in cluster/
        with process.locked(folder):
            yield


def _cluster(folder: Path) -> Cluster:
    """Where the cluster is or is to be: in the folder, unless the server's account cannot enter it."""
    folder = folder.resolve()
    moved = folder / "moved"
    home = moved.resolve() if moved.is_symlink() else folder
    who = account(home / "cluster")
    if not who.reaches(home):
        home = reachable_place("postgres")
        log.warning(
            "%s is not accessible to %s: the embedded PostgreSQL stores its data in %s.", folder, who, home
        )
        moved.symlink_to(home)
    return Cluster(home, who)


def _server(folder: Path, cluster: Cluster, started: bool) -> Server:
    assert cluster.port is not None
    password = cluster.password_of(LOADER)
    return Server(HOST, cluster.port, LOADER, DBNAME, folder, started, password)


def _write_service(server: Server, password: str) -> None:
    """Write the service file, whole or not at all."""
    text = (
        f"[{DBNAME}]\nhost={server.host}\nport={server.port}\ndbname={server.dbname}\n"
        f"user={READER}\npassword={password}\n"
    )
    if server.service_file.exists() and server.service_file.read_text() == text:
        return
    new = server.service_file.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(0o600)
    new.write_text(text)
    new.rename(server.service_file)
