"""Where Postgres is: the profile of io_config.yaml, or the embedded server."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from nyc_taxi.errors import SettingsError
from nyc_taxi.settings import profile, settings


@dataclass(frozen=True)
class PostgresConfig:
    """A database, how to get in, and the schema that holds the tables."""

    host: str
    """Empty: the embedded server, started when it is needed."""
    port: int
    dbname: str
    user: str
    password: str = field(repr=False)
    schema: str = "taxi"
    sslmode: str = "prefer"
    sslrootcert: str = ""

    @property
    def where(self) -> str:
        """Host, port and database, for people."""
        return f"{self.host}:{self.port}/{self.dbname}"

    def describe(self) -> str:
        """Where it is, and whether it is a stand-in."""
        if self.host:
            return f"Postgres at {self.where}, schema {self.schema}, as {self.user}"
        return f"embedded Postgres in {embedded_folder()}, schema {self.schema} (POSTGRES_HOST is not set)"

    def reachable(self) -> PostgresConfig:
        """The same with a host: starts the embedded server when it is the one."""
        if self.host:
            return self
        from nyc_taxi.local import postgres

        server = postgres.ensure(embedded_folder())
        return dataclasses.replace(
            self,
            host=server.host,
            port=server.port,
            dbname=server.dbname,
            user=server.user,
            password=server.password,
            sslmode="disable",
        )


def configured() -> PostgresConfig:
    """The target of the POSTGRES_* values; raises SettingsError when the port is no number."""
    values = profile()
    port = str(values.get("POSTGRES_PORT", 5432))
    if not port.isdecimal():
        raise SettingsError(f"POSTGRES_PORT={port!r} is not a port: set a number such as 5432.")
    return PostgresConfig(
        host=str(values.get("POSTGRES_HOST", "")),
        port=int(port),
        dbname=str(values.get("POSTGRES_DBNAME", "taxi")),
        user=str(values.get("POSTGRES_USER", "postgres")),
        password=str(values.get("POSTGRES_PASSWORD", "")),
        schema=str(values.get("POSTGRES_SCHEMA", "taxi")),
        sslmode=str(values.get("POSTGRES_SSLMODE", "prefer")),
        sslrootcert=str(values.get("POSTGRES_SSLROOTCERT", "")),
    )


def embedded_folder() -> Path:
    """Where the embedded server keeps its data."""
    return settings().workspace / "postgres"
