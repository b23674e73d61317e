"""The application's tables out of MySQL: row by row, in the columns that tables.yaml names."""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import stamina

from nyc_taxi.errors import SchemaError, SettingsError, SourceError, SourceUnreachable
from nyc_taxi.pipelines.bikeshare.config import Mysql
from nyc_taxi.pipelines.bikeshare.files import BATCH, write_parquet
from nyc_taxi.pipelines.bikeshare.tables import RawTable
from nyc_taxi.settings import settings

if TYPE_CHECKING:
    from pymysql import Connection

log = logging.getLogger(__name__)

T = TypeVar("T")

_TRANSIENT = (1040, 1053, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 2002, 2003, 2006, 2013, 2055, 3169)
"""Error numbers that another try may not meet: too many connections, shutdown, network, locks, killed
(MySQL's manual of error messages)."""

_DENIED = (1044, 1045, 1142, 1143, 1698, 3159, 3162)
_NO_DATABASE, _NO_TABLE, _NO_COLUMN = 1049, 1146, 1054


def extract_table(mysql: Mysql, table: RawTable, path: Path) -> int:
    """Write a table into a Parquet file, ordered by its key, and return its rows; all or nothing.

    The rows are those of one moment. They come in batches and are never all in memory, here or in
    the driver. Raises SourceUnreachable after TAXI_RETRIES attempts, SourceError when MySQL refuses,
    SchemaError when the table is not as tables.yaml says.
    """
    return _patiently(
        lambda: write_parquet(table, _rows(mysql, table), path, f"MySQL {mysql.where}, table {table.name}")
    )


def count_rows(mysql: Mysql, table: RawTable) -> int:
    """How many rows a table has; raises as `extract_table` does."""

    def count(cursor: Any) -> int:
        cursor.execute(f"SELECT count(*) FROM ({select(table)}) AS selected")
        return int(cursor.fetchone()[0])

    return transact(mysql, count)


def transact(mysql: Mysql, work: Callable[[Any], T]) -> T:
    """Do `work` with a cursor in one transaction, all or nothing."""
    with (
        _translate_errors(mysql),
        contextlib.closing(_connect(mysql)) as connection,
        connection.cursor() as cursor,
    ):
        done = work(cursor)
        connection.commit()
        return done


def select(table: RawTable) -> str:
    """The query that reads a table, with columns in the order of tables.yaml; for an export too."""
    names = ", ".join(quoted(column.name) for column in table.columns)
    return f"SELECT {names} FROM {quoted(table.name)} ORDER BY {quoted(table.key)}"


def quoted(name: str) -> str:
    """A name as MySQL writes it; those of tables.yaml have no backtick in them."""
    return f"`{name}`"


def _rows(mysql: Mysql, table: RawTable) -> Iterator[tuple[object, ...]]:
    from pymysql.cursors import SSCursor

    with (
        _translate_errors(mysql),
        contextlib.closing(_connect(mysql)) as connection,
        connection.cursor(SSCursor) as cursor,
    ):
        cursor.execute(f"SELECT * FROM {quoted(table.name)} LIMIT 0")
        there = [column[0] for column in cursor.description]
        cursor.fetchall()  # none, but the driver wants to hear the end
        lacking = [column.name for column in table.columns if column.name not in there]
        if lacking:
            raise SchemaError(
                f"MySQL {mysql.where}: the table {table.name} lacks the column {', '.join(lacking)}"
                f" (it has {', '.join(there)}); correct tables.yaml."
            )
        for name in there:
            if name not in {column.name for column in table.columns}:
                log.warning(
                    "MySQL's %s has a column that is left behind: %s. Add it in tables.yaml.",
                    table.name,
                    name,
                )
        cursor.execute(select(table))
        while batch := cursor.fetchmany(BATCH):
            yield from batch


def _connect(mysql: Mysql) -> Connection[Any]:
    import pymysql

    # The server's certificate is verified, but not its name: Cloud SQL's names the instance, not the address.
    verified = {"ssl_ca": mysql.ssl_ca, "ssl_verify_cert": True} if mysql.ssl_ca else {}
    try:
        return pymysql.connect(
            host=mysql.host,
            port=mysql.port,
            user=mysql.user,
            password=mysql.password,
            database=mysql.database,
            charset="utf8mb4",
            connect_timeout=max(1, round(settings().timeout)),
            read_timeout=settings().timeout,
            init_command="SET time_zone = '+00:00'",  # TIMESTAMP columns arrive in the session's zone
            **verified,
        )
    except (FileNotFoundError, ssl.SSLError) as error:
        raise SettingsError(f"MYSQL_SSL_CA={mysql.ssl_ca!r} is not a certificate's file: {error}.") from None


@contextlib.contextmanager
def _translate_errors(mysql: Mysql) -> Iterator[None]:
    """Turn errors of pymysql into SourceError, SourceUnreachable or SchemaError."""
    import pymysql

    try:
        yield
    except pymysql.MySQLError as error:
        raise _explain(error, mysql) from error


def _explain(error: Exception, mysql: Mysql) -> Exception:
    number = error.args[0] if error.args else 0
    said = " ".join(str(error.args[-1] if error.args else error).split()).rstrip(".")
    where = f"MySQL {mysql.where}"
    if number in _TRANSIENT or number == 0:  # pymysql gives 0 to a connection that broke off
        return SourceUnreachable(f"{where} does not answer or broke off ({said}): run the day again.")
    if number in _DENIED:
        return SourceError(
            f"{where} does not let the user {mysql.user} in or read ({said}): check MYSQL_USER and"
            " MYSQL_PASSWORD, and grant it SELECT on the tables."
        )
    if number == _NO_DATABASE:
        return SourceError(f"{where}: there is no such database: set MYSQL_DATABASE.")
    if number == _NO_TABLE:
        return SourceError(
            f"{where}: {said}: correct tables.yaml, or fill the database (taxi bikeshare seed)."
        )
    if number == _NO_COLUMN:
        return SchemaError(f"{where}: {said}: correct tables.yaml.")
    return SourceError(f"{where} refused: {said}.")


def _patiently(action: Callable[[], T]) -> T:
    attempts = stamina.RetryingCaller(attempts=settings().retries, timeout=None, wait_initial=0.2, wait_max=5)
    return attempts(SourceUnreachable, action)
