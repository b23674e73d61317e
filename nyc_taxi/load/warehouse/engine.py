"""What a warehouse does for the pipelines: create tables, stage files, run transactions, query rows.

The SQL of the pipelines runs in every warehouse unchanged. In statements and queries `@name` is a parameter.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from nyc_taxi.errors import LockTimeout
from nyc_taxi.model.months import Service
from nyc_taxi.model.run import Run
from nyc_taxi.retry import RetryPolicy, wait_for_others
from nyc_taxi.schema.tables import Table

T = TypeVar("T")

PATIENCE = 900.0
"""Seconds to begin a load again while other loads are committed first.

Enough for eight months at once, each of which takes less than a minute to commit, and for eight days of the
bike-share, each of which commits twice. The time before the first conflict, such as that of an upload, does
not count.
"""


@dataclass(frozen=True)
class Assertion:
    """A condition within a transaction, which is rolled back when the condition does not hold."""

    condition: str
    message: str
    """The error; without quotes."""


Statement = str | Assertion


class Reader(Protocol):
    """Reads the tables of one dataset."""

    def qualified(self, name: str) -> str:
        """A table or view as SQL writes it."""
        ...

    def rows(self, query: str, values: Mapping[str, Any], optional: str = "") -> list[dict[str, Any]]:
        """The rows of a query; none if the table or view named by `optional` does not exist yet."""
        ...


class Engine(Reader, Protocol):
    """A dataset in BigQuery, or a schema in a DuckDB file.

    All methods raise DestinationError, or DestinationUnreachable where another attempt may succeed.
    """

    def describe(self) -> str:
        """Where it is, for people."""
        ...

    def create(self, tables: Sequence[Table]) -> None:
        """Create missing tables and columns; raises SchemaError for a column of another type."""
        ...

    def staged(self, table: Table, path: Path, name: str) -> AbstractContextManager[str]:
        """A Parquet file with the table's columns, as something that SQL can select from.

        `name` identifies the content: loads that stage the same rows of the same day share it.
        """
        ...

    def transact(
        self,
        statements: Sequence[Statement],
        values: Mapping[str, Any],
        run: Run,
        name: str,
        service: Service | None = None,
    ) -> None:
        """Run statements in one transaction, all or nothing; `name` identifies what they do.

        `service`: that of the trips that they change, if they do.
        """
        ...


def retry_load(retry: RetryPolicy, load: Callable[[], T]) -> T:
    """Run a load, and again while it fails transiently or other loads are committed first.

    Raises LockTimeout when others were first for PATIENCE seconds.
    """

    def load_after_others() -> T:
        with contextlib.suppress(LockTimeout):
            return load()
        for attempt in wait_for_others(LockTimeout, PATIENCE):
            with attempt:
                return load()
        raise AssertionError("the last attempt returns or raises")

    return retry.call(load_after_others)
