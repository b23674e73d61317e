"""The ledger: what each destination records of every load."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping

from pydantic.dataclasses import dataclass

from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.record import CONFIG, Record
from nyc_taxi.model.references import is_sample

LOAD, DELETE = "load", "delete"

_SERVICES = {str(service) for service in Service}


@dataclass(frozen=True, config=CONFIG)
class LedgerEntry(Record):
    """The record of one load, or deletion, of a service and month."""

    service: Service
    month: Month
    version: str
    source_url: str
    source_etag: str | None
    source_sha256: str
    rows_in: int
    rows_loaded: int
    rows_quarantined: int
    schema_version: int
    package_version: str
    started_at: dt.datetime
    finished_at: dt.datetime
    run_id: str
    orchestrator: str
    rules: str | None = None
    """Fingerprint of the rules that cleaned the month; None in entries of version 0.1."""
    accepted: str | None = None
    """The implausibility that a user accepted with `--accept`."""
    transform: str | None = None
    """Name of the user's transform that was applied to the trips."""
    destinations: str | None = None
    """The destinations that the run was limited to, separated by commas; None for no limit."""
    action: str = LOAD
    """LOAD, or DELETE for a month deleted on purpose; `version` is then the deleted version."""

    @property
    def is_sample(self) -> bool:
        """Whether the month was generated rather than published by TLC."""
        return is_sample(self.source_url)

    @property
    def is_deletion(self) -> bool:
        """Whether the month was deleted on purpose."""
        return self.action == DELETE

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, object]]) -> list[LedgerEntry]:
        """Read rows of a ledger table; ignores ids, and columns and services of later package versions."""
        return [cls._from_row(row) for row in rows if row["service"] in _SERVICES]

    @classmethod
    def _from_row(cls, row: Mapping[str, object]) -> LedgerEntry:
        values = {name: row[name] for name in LEDGER_FIELDS if name in row}
        values["action"] = values.get("action") or LOAD  # empty in rows of earlier versions
        return cls.from_dict(values)

    def to_row(self) -> dict[str, object]:
        """Return values by column as databases store them; the month is a date, its first day."""
        return vars(self) | {"service": str(self.service), "month": self.month.first_day}


LEDGER_FIELDS = tuple(field.name for field in dataclasses.fields(LedgerEntry))
"""The columns of a ledger table, without its id."""
