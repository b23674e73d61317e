"""The psql command that `make run` prints for the loaded month."""

from __future__ import annotations

import shlex
import shutil

from nyc_taxi.errors import TaxiError
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.local import postgres_programs
from nyc_taxi.local.postgres import SERVICE_FILE
from nyc_taxi.local.postgres_cluster import DBNAME
from nyc_taxi.local.unprivileged import Account
from nyc_taxi.model.months import Month, Service
from nyc_taxi.schema import tables
from nyc_taxi.settings import Settings


def query(service: Service, month: Month, settings: Settings) -> str:
    """Return a command for the month's first trips, without a password, which other users could see."""
    config = PostgresConfig.from_settings(settings)
    server = config.reachable()
    table = f"{server.schema}.{tables.trips(service).name}"
    sql = f"SELECT * FROM {table} WHERE month = '{month.first_day}' LIMIT 10"
    if config.embedded:
        file = shlex.quote(str((config.embedded / SERVICE_FILE).resolve()))
        return f'PGSERVICEFILE={file} {_psql(config)} service={DBNAME} -c "{sql}"'
    return f'{_psql(config)} "postgresql://{server.user}@{server.where}" -c "{sql}"'


def _psql(config: PostgresConfig) -> str:
    """Return `psql`, or the path of the embedded server's own if psql is not installed."""
    if config.embedded and not shutil.which("psql"):
        try:
            program = postgres_programs.find(config.embedded / "cluster" / "data", Account()) / "psql"
        except TaxiError:  # the programs that started the server no longer exist
            return "psql"
        if program.exists():
            return shlex.quote(str(program))
    return "psql"
