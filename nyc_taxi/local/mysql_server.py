"""The process behind `nyc_taxi.local.mysql`: the MySQL protocol in front of one DuckDB file.

    python -m nyc_taxi.local.mysql_server FOLDER PORT

Each database is a schema of the file. SQL is translated from MySQL's to DuckDB's; transactions are
DuckDB's own. It ends on `SHUTDOWN`, as a real server does, or on SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
from mysql_mimic import IdentityProvider, MysqlServer, NativePasswordAuthPlugin, ResultColumn, ResultSet
from mysql_mimic import Session as MimicSession
from mysql_mimic import User as MimicUser
from mysql_mimic.control import LocalControl
from mysql_mimic.errors import ErrorCode, MysqlError
from mysql_mimic.types import ColumnType, ServerStatus
from sqlglot import ErrorLevel, exp
from sqlglot.errors import SqlglotError

from nyc_taxi.local.mysql import USER
from nyc_taxi.local.process import HOST

NO_SUCH_TABLE = 1146
BATCH = 10_000
"""Rows fetched from DuckDB at a time."""

TYPES = {
    "BOOLEAN": ColumnType.TINY,
    "TINYINT": ColumnType.TINY,
    "SMALLINT": ColumnType.SHORT,
    "INTEGER": ColumnType.LONG,
    "BIGINT": ColumnType.LONGLONG,
    "HUGEINT": ColumnType.NEWDECIMAL,
    "FLOAT": ColumnType.FLOAT,
    "DOUBLE": ColumnType.DOUBLE,
    "DATE": ColumnType.DATE,
    "TIME": ColumnType.TIME,
    "TIMESTAMP": ColumnType.DATETIME,
    "BLOB": ColumnType.BLOB,
}
"""MySQL's type of a column by DuckDB's; DECIMAL(p, s) is NEWDECIMAL, all else text."""


class Session(MimicSession):  # type: ignore[misc]  # mysql-mimic publishes no types
    """One client: a cursor on the file, in a transaction when the client wants one."""

    def __init__(self, database: duckdb.DuckDBPyConnection, closing: asyncio.Event) -> None:
        super().__init__()
        self._cursor = database.cursor()
        self._closing = closing
        self._begun = False

    async def _begin_middleware(self, query: Any) -> Any:
        """Transactions are ours, where mysql-mimic would only say that all is well."""
        return await query.next()

    _commit_middleware = _rollback_middleware = _begin_middleware

    async def init(self, connection: Any) -> None:
        """Turn the client away unless it gave the password: mysql-mimic says so, but goes on serving it."""
        await super().init(connection)
        if self.username is None:
            raise MysqlError("Access denied", ErrorCode.ACCESS_DENIED_ERROR)
        if self.database:
            await self.use(self.database)
        self._tell_status()

    async def close(self) -> None:
        """Undo what was not committed."""
        self._cursor.close()
        await super().close()

    async def use(self, database: str) -> None:
        """Make a database, which need not be there yet, the current one."""
        name = exp.to_identifier(database, quoted=True).sql("duckdb")
        self._cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {name}; USE {name}")
        await super().use(database)

    async def handle_query(self, sql: str, attrs: dict[str, str]) -> Any:
        """Answer one statement; errors carry MySQL's numbers where clients look at them."""
        if sql.strip().rstrip(";").upper() == "SHUTDOWN":
            self._closing.set()
            return None
        try:
            return await super().handle_query(sql, attrs)
        except SqlglotError as error:
            raise MysqlError(str(error), ErrorCode.PARSE_ERROR) from error
        except duckdb.CatalogException as error:
            raise MysqlError(_first_line(error), NO_SUCH_TABLE) from error
        except duckdb.Error as error:
            raise MysqlError(_first_line(error)) from error
        finally:
            self._tell_status()

    async def schema(self) -> dict[str, Any]:
        """Every database's tables and columns: what SHOW and information_schema answer from."""
        found: dict[str, Any] = {}
        rows = self._cursor.execute(
            "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
            " ORDER BY schema_name, table_name, column_index"
        ).fetchall()
        for database, table, column, kind in rows:
            found.setdefault(database, {}).setdefault(table, {})[column] = kind.lower()
        return found

    async def query(self, expression: exp.Expression, sql: str, attrs: dict[str, str]) -> ResultSet:
        """Run a statement of the client in DuckDB."""
        if isinstance(expression, exp.Transaction):
            self._begin()
        elif isinstance(expression, exp.Commit | exp.Rollback):
            self._end(commit=isinstance(expression, exp.Commit))
        else:
            if isinstance(expression, exp.Create | exp.Drop | exp.Alter):
                self._end(commit=True)  # as MySQL does: definitions are in no transaction
            elif not self.variables.get("autocommit"):
                self._begin()
            statement = _without_mysqls_own(expression).sql("duckdb", unsupported_level=ErrorLevel.RAISE)
            await asyncio.to_thread(self._cursor.execute, statement)
            if isinstance(expression, exp.Query | exp.Describe):
                return ResultSet(_rows(self._cursor), _columns(self._cursor))
        return ResultSet([], [])

    def _tell_status(self) -> None:
        """What every answer says; by this alone pymysql knows whether it must ask for a transaction."""
        status = ServerStatus.SERVER_STATUS_IN_TRANS if self._begun else ServerStatus(0)
        if self.variables.get("autocommit"):
            status |= ServerStatus.SERVER_STATUS_AUTOCOMMIT
        self.connection.status_flags = status

    def _begin(self) -> None:
        if not self._begun:
            self._cursor.begin()
            self._begun = True

    def _end(self, commit: bool) -> None:
        if self._begun:
            self._begun = False
            if commit:
                self._cursor.commit()
            else:
                self._cursor.rollback()


def _without_mysqls_own(expression: exp.Expression) -> exp.Expression:
    """A CREATE TABLE without what DuckDB has no word for: engine, character set, table comment."""
    if isinstance(expression, exp.Create):
        expression = expression.copy()
        expression.set("properties", None)
    return expression


def _columns(cursor: duckdb.DuckDBPyConnection) -> list[ResultColumn]:
    described = cursor.description or []
    return [ResultColumn(column[0], _mysql_type(str(column[1]))) for column in described]


def _mysql_type(kind: str) -> ColumnType:
    if kind.startswith("DECIMAL"):
        return ColumnType.NEWDECIMAL
    return TYPES.get(kind, ColumnType.VAR_STRING)


async def _rows(cursor: duckdb.DuckDBPyConnection) -> AsyncIterator[tuple[Any, ...]]:
    while batch := await asyncio.to_thread(cursor.fetchmany, BATCH):
        for row in batch:
            yield row


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


class Control(LocalControl):  # type: ignore[misc]
    """Registers clients; a new one is in autocommit, which the server's greeting tells it."""

    async def add(self, connection: Any) -> int:
        """Called before the greeting."""
        connection.status_flags = ServerStatus.SERVER_STATUS_AUTOCOMMIT
        number: int = await super().add(connection)
        return number


class OneUser(IdentityProvider):  # type: ignore[misc]
    """Lets in the one user who knows the password."""

    def __init__(self, password: str) -> None:
        self._secret = NativePasswordAuthPlugin.create_auth_string(password)

    async def get_user(self, username: str) -> MimicUser | None:
        """The user with what the password is checked against; None for anybody else."""
        known = MimicUser(username, self._secret, NativePasswordAuthPlugin.name)
        return known if username == USER else None


async def serve(folder: Path, port: int) -> None:
    """Serve the folder's file until told to end."""
    closing = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, closing.set)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": "256MB",
        "autoinstall_known_extensions": False,
    }
    with contextlib.closing(duckdb.connect(folder / "data.duckdb", config=config)) as database:
        password = (folder / "password").read_text()
        server = MysqlServer(
            lambda: Session(database, closing), control=Control(), identity_provider=OneUser(password)
        )
        await server.start_server(host=HOST, port=port)
        await closing.wait()
        server.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
