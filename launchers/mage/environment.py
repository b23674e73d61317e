"""What Mage's processes need around them: environment variables, and a PostgreSQL to load into."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from launchers.subprocess_group import MEMORY
from nyc_taxi.errors import SettingsError
from nyc_taxi.load.postgres.config import configured, embedded_folder
from nyc_taxi.settings import PROJECT, settings

MAGE_PROJECT = PROJECT / "mage_project"


def mage_environment() -> dict[str, str]:
    """The environment for a process of Mage: `.env`, the caller's own, and Mage kept quiet and at home."""
    settings()  # reads .env into os.environ
    defaults = {
        "MAGE_DATA_DIR": str(PROJECT / ".mage_data"),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
        "DISABLE_AUTO_BROWSER_OPEN": "1",
        "_TYPER_STANDARD_TRACEBACK": "1",  # a traceback in plain lines, the reason on the last
        **MEMORY,
    }
    missing = {name: value for name, value in defaults.items() if not os.environ.get(name)}
    return {**os.environ, **missing}


def log_file(environment: dict[str, str], name: str) -> Path:
    """The file for the log of that name, where there is one now: below MAGE_DATA_DIR.

    Raises SettingsError when nothing can be written there.
    """
    folder = Path(environment["MAGE_DATA_DIR"])
    file = folder / "logs" / f"{name}.log"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.open("ab").close()
    except OSError as error:
        raise SettingsError(
            f"{folder} cannot be written to ({error.strerror}): "
            "set MAGE_DATA_DIR to a folder in which you may write."
        ) from None
    return file


def ensure_postgres(say: Callable[[str], object]) -> dict[str, str]:
    """Start the embedded PostgreSQL when none is configured, and say so.

    Returns POSTGRES_* variables that lead programs which read only these to it; none when a server is
    configured. Raises DestinationError when it does not start.
    """
    if configured().host:
        return {}
    from nyc_taxi.local import postgres

    folder = embedded_folder()
    server = postgres.ensure(folder)
    say(f"Postgres: POSTGRES_HOST is not set, so the embedded server in {folder} is used; make stop ends it.")
    return server.environment()
