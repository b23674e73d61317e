"""What travels between steps, blocks and tasks: small references, never rows."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path

from pydantic.dataclasses import dataclass

from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.record import CONFIG, Record


def is_sample(url: str) -> bool:
    """Whether a month from this URL was generated rather than published by TLC."""
    return url.startswith("sample:")


@dataclass(frozen=True, config=CONFIG)
class Reference(Record):
    """A month, at some step of its way."""

    service: Service
    month: Month

    def __str__(self) -> str:
        return f"{self.service} {self.month}"


@dataclass(frozen=True, config=CONFIG)
class SourceFile(Reference):
    """The raw file of a month, as stored in the workspace."""

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


@dataclass(frozen=True, config=CONFIG)
class CleanMonth(Reference):
    """A month that is read, each row with its verdict, on scratch storage of the workspace."""

    source: SourceFile
    folder: Path
    """Scratch folder of `nyc_taxi.transform.clean`: rows.arrow, unreadable.arrow, matches.parquet."""
    version: str
    """Names the month's content: the raw file, the rules, the transform and the code that cleans."""
    rows_in: int
    trips: int
    quarantined: dict[str, int] = field(default_factory=dict)
    """Rows by the first reason that quarantined them."""
    flagged: dict[str, int] = field(default_factory=dict)
    """Trips by flag; a trip may have several."""
    unknown_columns: list[str] = field(default_factory=list)
    rules: str = ""
    """The fingerprint of the rules by which it was cleaned, and of the transform if there is one."""
    transform: str = ""
    """The user's function that was applied to the trips, and the reason of those that it dropped."""
    derived_columns: list[str] = field(default_factory=list)
    """The columns that it added."""

    @property
    def rows_quarantined(self) -> int:
        """Rows that are not trips."""
        return sum(self.quarantined.values())


@dataclass(frozen=True, config=CONFIG)
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
