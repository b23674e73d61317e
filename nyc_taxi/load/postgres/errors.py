"""What psycopg2 raises, as one sentence of a TaxiError that says what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import sqlalchemy

from nyc_taxi.errors import DestinationError, DestinationUnreachable, one_line
from nyc_taxi.load.postgres.config import PostgresConfig

LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
DEADLOCK = "40P01"

_TRANSIENT = (
    "08",  # the connection failed
    "57P",  # the server shuts down, has crashed or starts up
    "53300",  # too many connections
    "25P03",  # idle in a transaction, or in it altogether, for longer than the server allows
    "25P04",
    "40001",
    DEADLOCK,
    LOCK_NOT_AVAILABLE,
)
"""SQLSTATEs, or the beginnings of some, that another try may not meet (PostgreSQL manual, appendix A)."""

_ABOUT_VALUES = ("22", "23")
"""SQLSTATEs whose details quote the values of a row: data, which does not belong into messages."""

_CONNECTION_REFUSED = {
    "invalid sslmode": "setting",
    "invalid port": "setting",
    "invalid integer value": "setting",
    "invalid connection option": "setting",
    "root certificate file": "sslmode",
    "permission denied": "42501",
    "no encryption": "sslmode",
    "SSL was required": "sslmode",
    "certificate": "sslmode",
    "password": "28P01",
    "no pg_hba.conf entry": "28000",
    'role "': "28000",
    'database "': "3D000",
}
"""A connection that is refused has no SQLSTATE, only a text: the first part that it contains decides."""


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE of an error of psycopg2 or of SQLAlchemy's wrapper around one."""
    original = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
    code: str | None = getattr(original, "pgcode", None)
    return code


@contextlib.contextmanager
def translate_errors(config: PostgresConfig) -> Iterator[None]:
    """Turn errors of the database into DestinationError or DestinationUnreachable."""
    import psycopg2

    try:
        yield
    except (sqlalchemy.exc.DBAPIError, psycopg2.Error) as error:
        original = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
        # without its cause: psycopg2 quotes statements with their values in them
        raise _explain(original or error, config) from None


def _explain(error: BaseException, config: PostgresConfig) -> DestinationError:
    message = message_of(error)
    code = sqlstate(error)
    if code is None:
        code = next((known for part, known in _CONNECTION_REFUSED.items() if part in message), "08000")
    where = f"Postgres at {config.where}"
    if code.startswith(_TRANSIENT):
        return DestinationUnreachable(
            f"{where} does not answer or closed the connection ({message}); check that it is"
            " running (POSTGRES_HOST, POSTGRES_PORT), then run the month again."
        )
    return DestinationError(
        _ADVICE.get(code, "{where} refused: {message}.").format(where=where, message=message, config=config)
    )


_PASSWORD = "{where} rejects the user {config.user} ({message}): check POSTGRES_USER and POSTGRES_PASSWORD."
_PERMISSION = (
    "{where} denies the user {config.user} a privilege that the load needs ({message}): "
    "make it the owner of the schema {config.schema} and its tables."
)
_ADVICE = {
    "28P01": _PASSWORD,
    "28000": _PASSWORD,
    "3D000": "{where} has no database {config.dbname}: create it or set POSTGRES_DBNAME.",
    "42501": _PERMISSION,
    "3F000": _PERMISSION,  # the schema exists but may not be used
    "42P11": "the query is not one SELECT, and nothing else runs here ({message}).",  # of `postgres.query`
    "setting": "{where}: {message}: correct the POSTGRES_* setting.",
    "sslmode": "{where}: TLS failed ({message}): check POSTGRES_SSLMODE and POSTGRES_SSLROOTCERT.",
    "53100": "{where} has no disk space left ({message}): free some space and run the month again.",
    "2BP01": "{where}: {message}: an object depends on one month's partition; make it depend on the table.",
}


def message_of(error: BaseException) -> str:
    """What the database says, in one line without the values of rows."""
    diagnostics = getattr(error, "diag", None)
    parts = [getattr(diagnostics, "message_primary", None)]
    if not (sqlstate(error) or "").startswith(_ABOUT_VALUES):
        parts.append(getattr(diagnostics, "message_detail", None))
    text = ": ".join(part for part in parts if part) or str(error).partition("\n\tIs the server running")[0]
    return one_line(text or type(error).__name__)
