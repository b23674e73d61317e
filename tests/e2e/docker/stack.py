"""The stack of docker-compose.yml, from a copy of the checkout, under a project name of the tests' own.

Nothing of it meets a stack that a person runs from the same checkout: names, ports, volumes and `.env` are
others. Only the images are shared.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg2

from nyc_taxi.settings import PROJECT

NAME = "nyc-taxi-test"
"""Of the tests' project, to Compose."""

OWNER = 4711
"""User and group that own the copy, where the tests run as root: nobody whom an image knows."""

HERE = Path(__file__).resolve().parent


class Stack:
    """A copy of the checkout, and commands of Compose on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.figures: dict[str, str] = {}
        """What is measured on the way, to be printed."""
        self.environment = {**os.environ, "COMPOSE_PROJECT_NAME": NAME}
        for name in [name for name in self.environment if name.startswith(("TAXI_", "POSTGRES_", "GCS_"))]:
            del self.environment[name]

    def compose(
        self, *arguments: str, profile: str = "", timeout: float = 300, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker compose` on the copy, see `run`."""
        flags = ["--profile", profile] if profile else []
        options = {"cwd": self.folder, "env": self.environment, **options}
        return run("docker", "compose", *flags, *arguments, timeout=timeout, **options)

    def inside(self, service: str, *command: str, **options: Any) -> str:
        """What a command says that is run in a service's container."""
        return str(self.compose("exec", "-T", service, *command, **options).stdout)

    def setting(self, name: str) -> str:
        """A value of the copy's .env."""
        from launchers.env_file import read

        return read(self.folder / ".env")[name]

    def sql(self, query: str, database: str = "taxi") -> list[tuple[Any, ...]]:
        """Ask the server as a program outside does: by the published port."""
        password = {"taxi": "POSTGRES_PASSWORD", "mage": "MAGE_DATABASE_PASSWORD"}[database]
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=self.setting("POSTGRES_PORT"),
            dbname=database,
            user=database,
            password=self.setting(password),
        )
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def containers(self, profile: str = "airflow") -> dict[str, dict[str, Any]]:
        """What the engine knows of each service's container."""
        numbers = self.compose("ps", "-aq", profile=profile).stdout.split()
        described = docker("inspect", *numbers)
        return {
            each["Config"]["Labels"]["com.docker.compose.service"]: each for each in json.loads(described)
        }

    def health(self, profile: str = "airflow") -> dict[str, str]:
        """`healthy` or not, by service; the one that only runs once is left out."""
        return {
            service: each["State"].get("Health", {}).get("Status", each["State"]["Status"])
            for service, each in self.containers(profile).items()
            if service != "airflow-init"
        }

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Keep how long the block took among the figures."""
        started = time.monotonic()
        yield
        self.figures[what] = f"{time.monotonic() - started:.0f} s"


@contextmanager
def copied() -> Iterator[Stack]:
    """A stack of a fresh copy; in the end its containers and volumes are gone."""
    remove()  # what a run that was killed has left
    folder = Path(tempfile.mkdtemp(prefix="nyc-taxi-docker-"))
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, run(*listed, cwd=PROJECT).stdout.split("\0")):
        if os.path.lexists(PROJECT / name):  # deleted, but not yet from git
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name, follow_symlinks=False)
    for path in folder.rglob("*"):
        if not path.is_symlink():  # as under the strictest umask
            path.chmod(path.stat().st_mode & 0o700)
    try:
        yield Stack(folder)
    finally:
        remove()
        shutil.rmtree(folder, ignore_errors=True)


def remove() -> None:
    """Delete the containers, volumes and network of these tests."""
    for kind, every, force in (("container", "-a", "-f"), ("volume", "", "-f"), ("network", "", "")):
        mine = f"label=com.docker.compose.project={NAME}"
        names = docker(kind, "ls", "-q", *filter(None, [every]), "--filter", mine).split()
        if names:
            docker(kind, "rm", *filter(None, [force]), *names)


def own(folder: Path) -> None:
    """Give the copy to somebody else than root."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, OWNER, OWNER, follow_symlinks=False)


def run(*command: str, timeout: float = 120, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; a failure is an AssertionError with what it said."""
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done


def docker(*arguments: str, **options: Any) -> str:
    """What a docker command prints."""
    return run("docker", *arguments, **options).stdout


def use_substitute_images(stack: Stack) -> None:
    """Name substitutes for the base images where no registry can be reached."""
    images = dict(re.findall(r"\$\{(\w+_IMAGE):-(.+?)\}", (PROJECT / "docker-compose.yml").read_text()))
    for name in ("PYTHON_IMAGE", "POSTGRES_IMAGE", "REDIS_IMAGE"):
        image = images[name]
        pulled = subprocess.run(["docker", "pull", "-q", image], capture_output=True, timeout=300)
        stack.environment[name] = image
        if pulled.returncode:
            stack.environment[name] = f"nyc-taxi-test/{name.removesuffix('_IMAGE').lower()}"
            stack.figures[image] = "cannot be fetched here: a substitute takes its place"
    if stack.environment["PYTHON_IMAGE"] == "nyc-taxi-test/python":
        with stack.timed("building of a substitute for Python's image"):
            run(str(HERE / "engine.sh"), "python", timeout=400)


def wait_for(what: str, good: Callable[[], Any], seconds: float = 180) -> Any:
    """The first true answer of `good`; connections that are refused meanwhile count as false."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if answer := good():
                return answer
        except (httpx.TransportError, psycopg2.OperationalError, KeyError):
            pass
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")
