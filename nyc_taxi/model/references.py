"""What travels between steps, blocks and tasks: small references, never rows and never a machine's paths.

A reference names objects of the lake. Where their bytes are on this machine is part of the value in memory
(`local`) but not of what travels: each worker fetches what it lacks (`nyc_taxi.lake`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import field
from pathlib import Path
from typing import Annotated, Self

import pydantic
from pydantic.dataclasses import dataclass

from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.record import CONFIG, Record

LocalPath = Annotated[Path | None, pydantic.Field(exclude=True)]
"""A path on this machine; never part of what travels."""


def is_sample(url: str) -> bool:
    """Whether a month from this URL was generated rather than published by TLC."""
    return url.startswith("sample:")


@dataclass(frozen=True, config=CONFIG)
class LakeObject(Record):
    """An immutable object of the lake."""

    sha256: str
    size: int
    """Bytes."""
    uri: str = ""
    """`gs://bucket/key` or `s3://bucket/key`; in a local lake a path relative to the lake, or the absolute
    path of a file that is used where it lies."""
    tag: str | None = None
    """The generation in GCS, the ETag in S3; None in a local lake."""


@dataclass(frozen=True, config=CONFIG)
class Reference(Record):
    """A month, at some step of its way."""

    service: Service
    month: Month

    def __str__(self) -> str:
        return f"{self.service} {self.month}"


@dataclass(frozen=True, config=CONFIG)
class SourceFile(Reference):
    """The raw file of a month."""

    name: str
    """Of the file, as published."""
    url: str
    """Where it came from: an http(s) URL, a file's path, or `sample:...` for a generated month."""
    sha256: str
    size: int
    """Bytes."""
    etag: str | None = None
    last_modified: str | None = None
    uri: str = ""
    """Its object in the lake: see LakeObject."""
    tag: str | None = None
    """Of that object: see LakeObject."""
    local: LocalPath = field(default=None, compare=False, kw_only=True)
    """The file on this machine."""

    @property
    def path(self) -> Path:
        """The file on this machine; only a reference that the lake has fetched has one."""
        assert self.local is not None, f"{self.name} is not fetched"
        return self.local

    @property
    def version(self) -> str:
        """The short name of this file version that every row carries."""
        return self.sha256[:12]

    @property
    def is_sample(self) -> bool:
        """Whether the month was generated rather than published by TLC."""
        return is_sample(self.url)

    def at(self, path: Path) -> Self:
        """The same file, with its place on this machine."""
        return dataclasses.replace(self, local=path)


@dataclass(frozen=True, config=CONFIG)
class CleanMonth(Reference):
    """A month that is read, each row with its verdict, on this machine's scratch storage."""

    source: SourceFile
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
    local: LocalPath = field(default=None, compare=False, kw_only=True)
    """The folder on this machine."""

    @property
    def folder(self) -> Path:
        """Holds rows.arrow, unreadable.arrow and matches.parquet (`nyc_taxi.transform.clean`)."""
        assert self.local is not None, f"{self} is not on this machine"
        return self.local

    @property
    def is_staged(self) -> bool:
        """Whether the month's scratch files, rather than its Parquet, are on this machine."""
        return self.local is not None and self.local.exists()

    @property
    def rows_quarantined(self) -> int:
        """Rows that are not trips."""
        return sum(self.quarantined.values())

    def at(self, folder: Path) -> Self:
        """The same month, with its folder on this machine."""
        return dataclasses.replace(self, local=folder)


@dataclass(frozen=True, config=CONFIG)
class MonthFiles(CleanMonth):
    """A month as Parquet: trips, quarantine and quality, in a folder of the lake with a manifest."""

    objects: dict[str, LakeObject] = field(default_factory=dict)
    """By file name."""

    @property
    def is_staged(self) -> bool:
        """Never: `local` is the folder of its Parquet."""
        return False

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
