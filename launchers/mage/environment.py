"""Environment variables, log files and the embedded PostgreSQL for processes of Mage."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from launchers.mage.limits import MAGE_PROJECT
from launchers.private_files import private_file, private_folder
from launchers.subprocess_group import MEMORY
from nyc_taxi.errors import SettingsError, TaxiError
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.settings import PROJECT, Settings, load_settings


def mage_environment() -> dict[str, str]:
    """The environment for a process of Mage: the caller's, `.env` and this project's defaults."""
    load_settings()  # reads .env into os.environ
    defaults = {
        "MAGE_DATA_DIR": str(PROJECT / ".mage_data"),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
        "DISABLE_AUTO_BROWSER_OPEN": "1",
        "_TYPER_STANDARD_TRACEBACK": "1",  # plain tracebacks, which end with the exception
        **MEMORY,
    }
    missing = {name: value for name, value in defaults.items() if not os.environ.get(name)}
    return {**os.environ, **missing}


def log_file(environment: dict[str, str], name: str, project: Path = MAGE_PROJECT) -> Path:
    """Create the log file of that name below MAGE_DATA_DIR, if it does not exist.

    Makes Mage's files of the project private: password hashes, trigger tokens, outputs. Raises SettingsError
    if the file cannot be written.
    """
    folder = Path(environment["MAGE_DATA_DIR"])
    file = folder / "logs" / f"{name}.log"
    try:
        if not folder.exists():
            private_folder(folder)
        private_folder(file.parent)
        private_folder(folder / project.name)
        if not environment.get("MAGE_DATABASE_CONNECTION_URL"):
            private_file(folder / project.name / "mage-ai.db")  # Mage makes it world-readable
        return private_file(file)
    except OSError as error:
        raise SettingsError(
            f"{folder} cannot be written ({error.strerror}): set MAGE_DATA_DIR to a folder of your own."
        ) from None


def embedded_addresses(settings: Settings, show: Callable[[str], object]) -> dict[str, str]:
    """Return variables that connect Mage's own blocks to the DuckDB file and the GCS emulator.

    Starts the emulator and `show`s it, unless a bucket or Google credentials are configured; keeps a
    configured DuckDB file. The pipeline itself needs neither variable.
    """
    from nyc_taxi.load.warehouse.duckdb.config import DuckDbConfig
    from nyc_taxi.local import gcs

    addresses = {"DUCKDB_DATABASE": str(DuckDbConfig.from_settings(settings).file)}
    is_google = (
        {"GCS_BUCKET", "GOOGLE_SERVICE_ACC_KEY_FILEPATH"} & settings.connections.keys()
        or os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        or os.environ.get("STORAGE_EMULATOR_HOST")
    )
    if not is_google and gcs.available():
        folder = settings.workspace / "gcs"
        try:
            addresses["STORAGE_EMULATOR_HOST"] = gcs.ensure(folder).url
        except TaxiError as error:  # other destinations work without it
            show(f"GCS: the emulator does not start: {error}")
        else:
            show(f"GCS: GCS_BUCKET is not set; using the emulator in {folder}, for Mage's own blocks, too.")
    return addresses


def ensure_postgres(settings: Settings, show: Callable[[str], object]) -> dict[str, str]:
    """Start the embedded PostgreSQL if no server is configured, and `show` a line about it.

    Returns the POSTGRES_* variables that connect to it; empty if a server is configured. Raises
    DestinationError if it does not start.
    """
    folder = PostgresConfig.from_settings(settings).embedded
    if folder is None:
        return {}
    from nyc_taxi.local import postgres

    server = postgres.ensure(folder)
    show(f"Postgres: POSTGRES_HOST is not set; using the embedded server in {folder} (`make stop` stops it).")
    return server.environment()
