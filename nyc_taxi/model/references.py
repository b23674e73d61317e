"""What travels between steps, blocks and tasks: small references, never rows.

Each reference turns into a flat dict of plain values and back, so that any orchestrator can carry
it (Mage's outputs, Airflow's XCom).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from nyc_taxi.model.months import Month, Service


def is_sample(url: str) -> bool:
    """Whether a month from there was generated rather than published by TLC."""
    return url.startswith("sample:")


@dataclass(frozen=True)
class Reference:
    """Base: `to_dict` and `from_dict` with plain values only."""

    service: Service
    month: Month

    def to_dict(self) -> dict[str, Any]:
        """Plain values: str, int, float, None, and flat dicts and lists of them."""
        plain = {}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Reference):
                value = value.to_dict()
            plain[item.name] = str(value) if isinstance(value, Service | Month | Path) else value
        return plain

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        values = dict(plain)
        values["service"] = Service.parse(values["service"])
        values["month"] = Month.parse(values["month"])
        if isinstance(values.get("source"), dict):
            values["source"] = SourceFile.from_dict(values["source"])
        for name in ("path", "folder"):
            if name in values:
                values[name] = Path(values[name])
        return cls(**values)


@dataclass(frozen=True)
class SourceFile(Reference):
    """One version of a month's file, as it lies in the workspace."""

    path: Path
    url: str
    """Where it came from: an http(s) URL, a file's path, or `sample:...` for a generated month."""
    sha256: str
    size: int
    """Bytes."""
    etag: str | None = None
    last_modified: str | None = None

    @property
    def version(self) -> str:
        """The short name of this file version that every row carries."""
        return self.sha256[:12]

    @property
    def is_sample(self) -> bool:
        """Whether the month was generated rather than published by TLC."""
        return is_sample(self.url)


@dataclass(frozen=True)
class CleanMonth(Reference):
    """A month read and judged, every row with its verdict, on scratch storage of the workspace."""

    source: SourceFile
    folder: Path
    """Scratch folder of `nyc_taxi.transform.clean`: rows.arrow, unreadable.arrow, matches.parquet."""
    version: str
    """Names the month's content: the source file, the rules and the code that cleans."""
    rows_in: int
    trips: int
    quarantined: dict[str, int] = field(default_factory=dict)
    """Rows by the first reason that quarantined them."""
    flagged: dict[str, int] = field(default_factory=dict)
    """Trips by flag; a trip may have several."""
    unknown_columns: list[str] = field(default_factory=list)

    @property
    def rows_quarantined(self) -> int:
        """Rows that are not trips."""
        return sum(self.quarantined.values())


@dataclass(frozen=True)
class MonthFiles(CleanMonth):
    """A month as Parquet: `folder` holds trips, quarantine and quality .parquet and manifest.json."""

    sha256: dict[str, str] = field(default_factory=dict)
    """SHA-256 by file name."""

    @property
    def trips_path(self) -> Path:
        """Trips, in the schema of `nyc_taxi.schema.trip_columns` plus the file's unknown columns."""
        return self.folder / "trips.parquet"

    @property
    def quarantine_path(self) -> Path:
        """Quarantined rows, in the schema of `nyc_taxi.schema.QUARANTINE`."""
        return self.folder / "quarantine.parquet"

    @property
    def quality_path(self) -> Path:
        """Figures on the month, in the schema of `nyc_taxi.schema.QUALITY`."""
        return self.folder / "quality.parquet"
