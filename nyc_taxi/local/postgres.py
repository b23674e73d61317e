"""The embedded PostgreSQL: started on first use, with its data in a folder.

In the folder:

    lock            held while a process starts or stops the server
    alive           locked by the server's processes: unlocked once all have ended
    cluster/        created under another name, then renamed: never incomplete
        data/       PostgreSQL's data directory; its taxi.conf holds our settings
        password    of the superuser `postgres`, readable by the server's account only
        password-*  of the roles of `postgres_roles`, readable by the server's account only
        server.log
    pg_service.conf connection for psql (`PGSERVICEFILE`), readable by the user who started the server only
    moved           link to the cluster's location, only if the server's account cannot enter the folder

Invariants: at most one server runs per folder, even if many processes call `ensure` at once; it listens
on 127.0.0.1 only and requires the password; it outlives the process that started it; after a kill or a
reboot the next `ensure` restarts it, and PostgreSQL recovers all commits.
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
from nyc_taxi.local.unprivileged import account, reachable_folder

log = logging.getLogger(__name__)

SERVICE_FILE = "pg_service.conf"


@dataclass(frozen=True)
class Server:
    """A running embedded server, with the loader's credentials."""

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
        """URL with the password, for SQLAlchemy."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.dbname}"

    @property
    def service_file(self) -> Path:
        """File for `PGSERVICEFILE`, with which `psql service=taxi` connects as the reader."""
        return self.folder / SERVICE_FILE

    def environment(self) -> dict[str, str]:
        """Return the variables that point `io_config.yaml` to this server."""
        return {
            "POSTGRES_HOST": self.host,
            "POSTGRES_PORT": str(self.port),
            "POSTGRES_DBNAME": self.dbname,
            "POSTGRES_USER": self.user,
            "POSTGRES_PASSWORD": self.password,
        }


def ensure(folder: Path) -> Server:
    """Return the folder's server, with its database, initialising and starting it if necessary.

    Safe to call from many processes at once. Raises DestinationError that names the server's log.
    """
    return running(folder) or _prepare(folder)


def _prepare(folder: Path) -> Server:
    with _locked(folder):
        cluster = _cluster(folder)
        started = not cluster.wait_until_ready()
        if started:
            if not cluster.folder.exists():
                cluster.initialise()
            cluster.start()
        cluster.create_database()
        server = _server(folder, cluster, started)
        _write_service(server, cluster.password_of(READER))
        return server


def superuser_url(server: Server, dbname: str = DBNAME) -> str:
    """Return the superuser's URL, for what the loader cannot access: other databases, roles, server files."""
    password = _cluster(server.folder).password
    return f"postgresql://{SUPERUSER}:{password}@{server.host}:{server.port}/{dbname}"


def running(folder: Path) -> Server | None:
    """Return the folder's server if it is running, else None."""
    if not process.ever_started(folder):
        return None
    with _wrap_os_errors(folder):
        cluster = _cluster(folder)
        if not cluster.alive() or not cluster.accepts(DBNAME):
            return None
        server = _server(folder, cluster, started=False)
        if _service_of(folder) == _service(server, cluster.password_of(READER)):  # written last
            return server
    return _prepare(folder)  # created before roles were introduced, or by a killed process


def stop(folder: Path) -> bool:
    """Shut the folder's server down, disconnecting its clients; returns False if it was not running."""
    if not process.ever_started(folder):
        return False
    with _locked(folder):
        cluster = _cluster(folder)
        if not cluster.wait_until_ready():
            return False
        done = cluster.control("-m", "fast", "stop")
        if done.returncode != 0:
            raise DestinationError(f"PostgreSQL in {cluster.folder} did not stop: {done.stderr.strip()}")
        return True


@contextlib.contextmanager
def _wrap_os_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DestinationError(
            f"the embedded PostgreSQL cannot use {folder} ({error}): choose another TAXI_WORKSPACE."
        ) from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with _wrap_os_errors(folder):
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)  # the server's account passes through; cluster/ is private
        with process.locked(folder):
            yield


def _cluster(folder: Path) -> Cluster:
    """Return the folder's cluster, located elsewhere if the server's account cannot enter the folder."""
    folder = folder.resolve()
    moved = folder / "moved"
    location = moved.resolve() if moved.is_symlink() else folder
    owner = account(location / "cluster")
    if not owner.reaches(location):
        location = reachable_folder("postgres")
        log.warning(
            "%s is not accessible to %s: the embedded PostgreSQL stores its data in %s.",
            folder,
            owner,
            location,
        )
        moved.symlink_to(location)
    return Cluster(location, owner)


def _server(folder: Path, cluster: Cluster, started: bool) -> Server:
    assert cluster.port is not None
    password = cluster.password_of(LOADER)
    return Server(HOST, cluster.port, LOADER, DBNAME, folder, started, password)


def _service(server: Server, password: str) -> str:
    return (
        f"[{DBNAME}]\nhost={server.host}\nport={server.port}\ndbname={server.dbname}\n"
        f"user={READER}\npassword={password}\n"
    )


def _service_of(folder: Path) -> str:
    file = folder / SERVICE_FILE
    return file.read_text() if file.exists() else ""


def _write_service(server: Server, password: str) -> None:
    """Write the service file atomically."""
    text = _service(server, password)
    if _service_of(server.folder) == text:
        return
    new = server.service_file.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(0o600)
    new.write_text(text)
    new.rename(server.service_file)
