"""DuckDB, the embedded warehouse: the same tables as BigQuery's in one file on this machine."""

from __future__ import annotations

from pathlib import Path

from nyc_taxi.load.contract import LedgerEntry, Lookup, Progress, Run
from nyc_taxi.load.warehouse.duckdb import ledger
from nyc_taxi.load.warehouse.duckdb.client import PATIENCE, opened
from nyc_taxi.load.warehouse.duckdb.lookup import replace_lookup
from nyc_taxi.load.warehouse.duckdb.replace import replace_month
from nyc_taxi.load.warehouse.duckdb.tables import SCHEMA
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.settings import PROJECT, profile, settings


class DuckDb:
    """A Destination: the file that io_config.yaml names, by default warehouse.duckdb in the workspace."""

    name = "duckdb"

    def __init__(self, file: Path | None = None, patience: float = PATIENCE) -> None:
        """`file`: another than the configured one; `patience`: seconds to wait while others have it open."""
        self.file = file or _configured()
        self._patience = patience

    def describe(self) -> str:
        """The file and the schema; says so when it is a stand-in."""
        role = (
            ""
            if "BIGQUERY_DATASET" in profile()
            else " (stands in for BigQuery: BIGQUERY_DATASET is not set)"
        )
        return f"DuckDB file {self.file}, schema {SCHEMA}{role}"

    def ledger_entry(self, service: Service, month: Month) -> LedgerEntry | None:
        """What the ledger says is there; None when the month was never loaded."""
        if not self.file.exists():
            return None
        with opened(self.file, read_only=True, patience=self._patience) as connection:
            return ledger.current(connection, service, month)

    def ledger_entries(self) -> list[LedgerEntry]:
        """The load in force of every service and month."""
        if not self.file.exists():
            return []
        with opened(self.file, read_only=True, patience=self._patience) as connection:
            return ledger.current_all(connection)

    def replace_month(self, files: MonthFiles, run: Run, progress: Progress | None = None) -> LedgerEntry:
        """Make the month equal to `files`, all or nothing; see `nyc_taxi.load.warehouse.duckdb.replace`.

        Where the ledger names the version already, nothing is loaded. Other runs of this project that
        load at the same time are waited for.
        """
        with opened(self.file, read_only=False, patience=self._patience) as connection:
            return replace_month(connection, files, run, progress)

    def replace_lookup(self, lookup: Lookup) -> None:
        """Make a small table equal to `lookup`, in one transaction."""
        with opened(self.file, read_only=False, patience=self._patience) as connection:
            replace_lookup(connection, lookup)


def _configured() -> Path:
    named = profile().get("DUCKDB_DATABASE")
    return PROJECT / Path(str(named)).expanduser() if named else settings().workspace / "warehouse.duckdb"
