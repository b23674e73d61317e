"""Where Postgres is: the profile of io_config.yaml, or the embedded server."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from nyc_taxi.errors import SettingsError
from nyc_taxi.retry import DEFAULT_RETRY, RetryPolicy
from nyc_taxi.settings import Settings


@dataclass(frozen=True)
class PostgresConfig:
    """A database, how to authenticate, and the schema that holds the tables."""

    host: str
    port: int
    dbname: str
    user: str
    password: str = field(repr=False)
    schema: str = "taxi"
    sslmode: str = "prefer"
    sslrootcert: str = ""

    embedded: Path | None = None
    """Data folder of the embedded server, which is started when it is needed."""
    retry: RetryPolicy = DEFAULT_RETRY

    @classmethod
    def from_settings(cls, settings: Settings) -> PostgresConfig:
        """The POSTGRES_* values; raises SettingsError when the port is no number."""
        values = settings.connections
        host, port = str(values.get("POSTGRES_HOST", "")), str(values.get("POSTGRES_PORT", 5432))
        if not port.isdecimal():
            raise SettingsError(f"POSTGRES_PORT={port!r} is not a port: set a number such as 5432.")
        return cls(
            host=host,
            port=int(port),
            dbname=str(values.get("POSTGRES_DBNAME", "taxi")),
            user=str(values.get("POSTGRES_USER", "postgres")),
            password=str(values.get("POSTGRES_PASSWORD", "")),
            schema=str(values.get("PIPELINE_SCHEMA", values.get("POSTGRES_SCHEMA", "taxi"))),
            sslmode=str(values.get("POSTGRES_SSLMODE", "prefer")),
            sslrootcert=str(values.get("POSTGRES_SSLROOTCERT", "")),
            embedded=None if host else settings.workspace / "postgres",
            retry=RetryPolicy.of(settings),
        )

    @property
    def where(self) -> str:
        """Host, port and database, for people."""
        return f"{self.host}:{self.port}/{self.dbname}"

    def describe(self) -> str:
        """Where it is, and whether it is the embedded server."""
        if self.embedded:
            return (
                f"embedded Postgres in {self.embedded}, schema {self.schema} (POSTGRES_HOST is not set);"
                " `taxi connect postgres`"
            )
        return f"Postgres at {self.where}, schema {self.schema}, as {self.user}; `taxi connect postgres`"

    def reachable(self) -> PostgresConfig:
        """The same with a host: starts the embedded server where that is the one."""
        if not self.embedded:
            return self
        from nyc_taxi.local import postgres

        server = postgres.ensure(self.embedded)
        return dataclasses.replace(
            self,
            host=server.host,
            port=server.port,
            dbname=server.dbname,
            user=server.user,
            password=server.password,
            sslmode="disable",
            embedded=None,
        )
