"""The application's database, through SQLAlchemy: MySQL if MYSQL_HOST is set, else a SQLite file."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection  # the location in SQLAlchemy 1.4, which Airflow 2 pins
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from nyc_taxi.errors import SchemaError, SettingsError, SourceError, SourceUnreachable, one_line
from nyc_taxi.retry import DEFAULT_RETRY, RetryPolicy
from nyc_taxi.settings import Settings

_TRANSIENT = (0, 1040, 1053, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 2002, 2003, 2006, 2013, 2055, 3169)
"""Error numbers to retry: too many connections, shutdown, network, locks, killed (MySQL's error
reference); PyMySQL reports 0 for a broken connection."""

_DENIED = (1044, 1045, 1142, 1143, 1698, 3159, 3162)
_NO_DATABASE, _NO_TABLE, _NO_COLUMN = 1049, 1146, 1054


def quoted(name: str) -> str:
    """Quote a name for MySQL; SQLite accepts it too. Names in tables.yaml contain no backticks."""
    return f"`{name}`"


@dataclass(frozen=True)
class Database:
    """The address and credentials of the application's database."""

    url: URL
    ssl_ca: str = ""
    """File of the certificate authority that verifies the server's certificate; if empty, the connection is
    encrypted if the server supports it, but not verified."""
    retry: RetryPolicy = DEFAULT_RETRY

    @classmethod
    def from_settings(cls, settings: Settings) -> Database:
        """Read the MYSQL_* values; raises SettingsError if they are invalid."""
        values = settings.connections
        port = str(values.get("MYSQL_PORT", 3306))
        if not port.isdecimal():
            raise SettingsError(f"MYSQL_PORT={port!r} is not a port: set a number such as 3306.")
        url = URL.create(
            "mysql+pymysql",
            username=str(values.get("MYSQL_USER", "")),
            password=str(values.get("MYSQL_PASSWORD", "")),
            host=str(values["MYSQL_HOST"]),
            port=int(port),
            database=str(values.get("MYSQL_DATABASE", "bikeshare")),
        )
        return cls(url, str(values.get("MYSQL_SSL_CA", "")), RetryPolicy.of(settings))

    @classmethod
    def demo(cls, settings: Settings, name: str) -> Database:
        """Return the SQLite database that `taxi bikeshare seed` fills if MYSQL_HOST is not set."""
        file = settings.workspace / "bikeshare" / f"{name}.sqlite"
        return cls(URL.create("sqlite", database=str(file)), retry=RetryPolicy.of(settings))

    @property
    def file(self) -> Path | None:
        """The SQLite file of a demo database; None for MySQL."""
        return Path(str(self.url.database)) if self.url.drivername == "sqlite" else None

    @property
    def missing(self) -> bool:
        """Whether this is a demo database that has not been seeded."""
        return self.file is not None and not self.file.exists()

    @property
    def where(self) -> str:
        """Address or file, for users."""
        if self.file:
            return f"demo database {self.file}"
        return f"MySQL {self.url.host}:{self.url.port}/{self.url.database}"

    @contextlib.contextmanager
    def connect(self) -> Iterator[Connection]:
        """Yield a connection whose session time zone is UTC.

        Raises SourceUnreachable, SourceError, SchemaError or SettingsError, each naming the database.
        """
        if self.missing:
            raise SettingsError(
                "the bike-share has no stations: set MYSQL_HOST to the application's database,"
                " or generate demo data with `taxi bikeshare seed`."
            )
        engine = sa.create_engine(
            self.url,
            poolclass=NullPool,
            connect_args={} if self.file else self._mysql_arguments(),
            hide_parameters=True,
        )
        try:
            with self._translate_errors(), engine.connect() as connection:
                yield connection
        except (FileNotFoundError, ssl.SSLError) as error:
            if not self.ssl_ca:
                raise
            raise SettingsError(f"MYSQL_SSL_CA={self.ssl_ca!r} is not a certificate file: {error}.") from None

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._explain(error) from error

    def _mysql_arguments(self) -> dict[str, Any]:
        # Cloud SQL's certificate names the instance, not the host: the host name is not verified.
        verified = {"ssl_ca": self.ssl_ca, "ssl_verify_cert": True} if self.ssl_ca else {}
        return {
            "charset": "utf8mb4",
            "connect_timeout": max(1, round(self.retry.timeout)),
            "read_timeout": self.retry.timeout,
            "init_command": "SET time_zone = '+00:00'",  # TIMESTAMP columns use the session's time zone
            **verified,
        }

    def _explain(self, error: DBAPIError) -> Exception:
        arguments: tuple[Any, ...] = getattr(error.orig, "args", ())
        number = arguments[0] if arguments else 0
        reason = one_line(arguments[-1] if arguments else error.orig)
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return SettingsError(
                f"{self.where}: its certificate is not signed by MYSQL_SSL_CA={self.ssl_ca!r} ({reason})."
            )
        if number == _NO_TABLE or reason.startswith("no such table"):
            return SourceError(
                f"{self.where}: {reason}: correct tables.yaml, or fill the database (taxi bikeshare seed)."
            )
        if number in _TRANSIENT or reason == "database is locked":
            return SourceUnreachable(
                f"{self.where} does not answer or closed the connection ({reason}): run the day again."
            )
        if number in _DENIED:
            return SourceError(
                f"{self.where} does not let the user {self.url.username} in or read ({reason}): check"
                " MYSQL_USER and MYSQL_PASSWORD, and grant it SELECT on the tables."
            )
        if number == _NO_DATABASE:
            return SourceError(f"{self.where}: the database does not exist: set MYSQL_DATABASE.")
        if number == _NO_COLUMN:
            return SchemaError(f"{self.where}: {reason}: correct tables.yaml.")
        return SourceError(f"{self.where} refused: {reason}.")
