"""What the flow asks of a warehouse. The SQL is the same for all, in words that each of them knows.

In statements `@name` is a parameter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nyc_taxi import __version__
from nyc_taxi.load.contract import Run
from nyc_taxi.schema.tables import Table


@dataclass(frozen=True)
class Entry:
    """The ledger's row for a table and day."""

    table_name: str
    date: dt.date
    version: str
    source: str
    row_count: int
    counts: str
    """What the checks counted, as JSON."""
    started_at: dt.datetime
    finished_at: dt.datetime
    run_id: str
    orchestrator: str
    package_version: str = __version__


@dataclass(frozen=True)
class Test:
    """A condition that must hold when it is its turn; the transaction is undone where it does not."""

    __test__ = False  # for pytest: it is none of its tests

    condition: str
    says: str
    """What is wrong where it does not hold; without quotes."""


class Warehouse(Protocol):
    """A dataset of tables. All methods raise DestinationError or DestinationUnreachable."""

    def describe(self) -> str:
        """Where it is, for people."""
        ...

    def qualified(self, name: str) -> str:
        """A table as SQL writes it."""
        ...

    def create(self, tables: Sequence[Table]) -> None:
        """Make the tables and columns that are not there; raises SchemaError for one of another type."""
        ...

    def has(self, name: str) -> bool:
        """Whether there is such a table."""
        ...

    def staged(self, table: Table, path: Path) -> AbstractContextManager[str]:
        """A Parquet file with the table's columns as something that SQL can select from."""
        ...

    def transact(self, statements: Sequence[str | Test], values: Mapping[str, Any], run: Run) -> None:
        """Run statements in one transaction, all or nothing."""
        ...

    def rows(self, query: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows of a query."""
        ...
