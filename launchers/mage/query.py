"""The psql command that `make run` prints for the month that it has loaded."""

from __future__ import annotations

import shlex
import shutil

from nyc_taxi.errors import TaxiError
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.postgres.tables import trips_of
from nyc_taxi.local import postgres_programs
from nyc_taxi.local.unprivileged import Account
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import Settings


def query(service: Service, month: Month, settings: Settings) -> str:
    """A command for the first trips of the month; it contains the password of the embedded server only."""
    config = PostgresConfig.from_settings(settings)
    server = config.reachable()
    user = f"{server.user}:{server.password}" if config.embedded else server.user
    sql = f"SELECT * FROM {server.schema}.{trips_of(service)} WHERE month = '{month.first_day}' LIMIT 10"
    return f'{_psql(config)} "postgresql://{user}@{server.where}" -c "{sql}"'


def _psql(config: PostgresConfig) -> str:
    """`psql`, or the path of the embedded server's own program if psql is not installed."""
    if config.embedded and not shutil.which("psql"):
        try:
            program = postgres_programs.find(config.embedded / "cluster" / "data", Account()) / "psql"
        except TaxiError:  # the programs that started the server no longer exist
            return "psql"
        if program.exists():
            return shlex.quote(str(program))
    return "psql"
