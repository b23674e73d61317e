"""A command line that looks at a month in Postgres, for who has just loaded it."""

from __future__ import annotations

import shlex
import shutil

from nyc_taxi.errors import TaxiError
from nyc_taxi.load.postgres.config import PostgresConfig, configured, embedded_folder
from nyc_taxi.load.postgres.tables import trips_of
from nyc_taxi.local import postgres_programs
from nyc_taxi.local.unprivileged import Account
from nyc_taxi.model.months import Month, Service


def query(service: Service, month: Month) -> str:
    """Asks for the first trips of the month's table; with the password of the embedded server alone."""
    target = configured()
    there = target.reachable()
    user = there.user if target.host else f"{there.user}:{there.password}"
    sql = f"SELECT * FROM {there.schema}.{trips_of(service)} WHERE month = '{month.first_day}' LIMIT 10"
    return f'{_psql(target)} "postgresql://{user}@{there.where}" -c "{sql}"'


def _psql(target: PostgresConfig) -> str:
    """psql as it can be called here: on a machine without one, the embedded server's own for that server."""
    if not target.host and not shutil.which("psql"):
        try:
            own = postgres_programs.find(embedded_folder() / "cluster" / "data", Account()) / "psql"
        except TaxiError:  # the server was started with programs that are gone
            return "psql"
        if own.exists():
            return shlex.quote(str(own))
    return "psql"
