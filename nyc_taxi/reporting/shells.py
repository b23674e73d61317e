"""How to open a shell on a database that reads the tables: psql, the DuckDB CLI, or Python."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass

from nyc_taxi.errors import SettingsError, TaxiError
from nyc_taxi.extras import require_extra
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.warehouse.duckdb.load import SCHEMA, DuckDb
from nyc_taxi.settings import Settings


@dataclass(frozen=True)
class Shell:
    """A command, and the environment that it needs beside its own."""

    arguments: list[str]
    environment: dict[str, str]
    secrets: dict[str, str]
    """Of the environment, but never shown."""

    @property
    def is_installed(self) -> bool:
        """Whether this machine has the program."""
        return shutil.which(self.arguments[0]) is not None

    @property
    def line(self) -> str:
        """The command as people type it."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*variables, shlex.join(self.arguments)])


def find_shell(database: str, settings: Settings) -> Shell:
    """The shell of `postgres` or `duckdb`; by default of the database that has data.

    Raises SettingsError for another name, and TaxiError where nothing was loaded.
    """
    has_postgres = "POSTGRES_HOST" in settings.connections or (settings.workspace / "postgres").exists()
    name = database or ("postgres" if has_postgres else "duckdb")
    if name == "postgres":
        return _psql(settings)
    if name == "duckdb":
        return _duckdb(settings)
    raise SettingsError(f"database {name!r} is not known: use postgres or duckdb.")


def _psql(settings: Settings) -> Shell:
    config = PostgresConfig.from_settings(settings)
    options = {"PGOPTIONS": f"-c default_transaction_read_only=on -c search_path={config.schema}"}
    if config.embedded:
        from nyc_taxi.local import postgres

        service = {"PGSERVICEFILE": str(postgres.ensure(config.embedded).service_file)}
        return Shell(["psql", "service=taxi"], service | options, {})
    require_extra("postgres", "Postgres")
    from psycopg2.extensions import make_dsn

    text = make_dsn(
        host=config.host,
        port=config.port,
        dbname=config.dbname,
        user=config.user,
        sslmode=config.sslmode,
        sslrootcert=config.sslrootcert or None,  # None is left out
    )
    return Shell(["psql", text], options, {"PGPASSWORD": config.password} if config.password else {})


def _duckdb(settings: Settings) -> Shell:
    file = DuckDb.from_settings(settings).file
    if not file.exists():
        raise TaxiError(f"{file} does not exist: load a month into duckdb first.")
    search_path = f"SET search_path = '{SCHEMA}'"
    if shutil.which("duckdb"):
        return Shell(["duckdb", "-readonly", "-cmd", search_path, str(file)], {}, {})
    code = (
        f"import duckdb; sql = duckdb.connect({str(file)!r}, read_only=True).sql; sql({search_path!r});"
        " print('sql(\"SELECT ...\") runs a query')"
    )
    return Shell([sys.executable, "-i", "-c", code], {}, {})
