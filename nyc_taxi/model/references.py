"""References that travel between steps, blocks and tasks, in place of rows and local paths.

A reference names objects of the lake. In memory it also holds the path of their local copy (`local`), which
is never serialised: each worker fetches the objects it lacks (`nyc_taxi.lake`).
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
"""A path on this machine; never serialised."""


def is_sample(url: str) -> bool:
    """Return whether a month from this URL was generated rather than published by TLC."""
    return url.startswith("sample:")


@dataclass(frozen=True, config=CONFIG)
class LakeObject(Record):
    """An immutable object of the lake."""

    sha256: str
    size: int
    """Bytes."""
    uri: str = ""
    """`gs://bucket/key` or `s3://bucket/key`; in a local lake a path relative to the lake, or the absolute
    path of a file used in place."""
    tag: str | None = None
    """The generation in GCS, the ETag in S3; None in a local lake."""


@dataclass(frozen=True, config=CONFIG)
class Reference(Record):
    """A month at some step of the pipeline."""

    service: Service
    month: Month

    def __str__(self) -> str:
        return f"{self.service} {self.month}"


@dataclass(frozen=True, config=CONFIG)
class SourceFile(Reference):
    """The raw file of a month."""

    name: str
    """The file name as published."""
    url: str
    """The origin: an http(s) URL, a file's path, or `sample:...` for a generated month."""
    sha256: str
    size: int
    """Bytes."""
    etag: str | None = None
    last_modified: str | None = None
    uri: str = ""
    """URI of the lake object: see LakeObject."""
    tag: str | None = None
    """Tag of the lake object: see LakeObject."""
    local: LocalPath = field(default=None, compare=False, kw_only=True)
    """The file on this machine."""

    @property
    def path(self) -> Path:
        """The file on this machine; set only once the lake has fetched it."""
        assert self.local is not None, f"{self.name} is not fetched"
        return self.local

    @property
    def version(self) -> str:
        """The source version that every row carries: the first 12 hex digits of the SHA-256."""
        return self.sha256[:12]

    @property
    def is_sample(self) -> bool:
        """Whether the month was generated rather than published by TLC."""
        return is_sample(self.url)

    def at(self, path: Path) -> Self:
        """Return the reference with the file's path on this machine."""
        return dataclasses.replace(self, local=path)


@dataclass(frozen=True, config=CONFIG)
class CleanMonth(Reference):
    """A month that is parsed and judged row by row, on this machine's scratch storage."""

    source: SourceFile
    version: str
    """Identifies the month's content: raw file, rules, transform and cleaning code."""
    rows_in: int
    trips: int
    quarantined: dict[str, int] = field(default_factory=dict)
    """Rows by the first reason that quarantined them."""
    flagged: dict[str, int] = field(default_factory=dict)
    """Trips by flag; a trip may have several."""
    unknown_columns: list[str] = field(default_factory=list)
    rules: str = ""
    """Fingerprint of the rules that cleaned the month, and of the transform, if any."""
    transform: str = ""
    """Name of the user's transform that was applied; also the quarantine reason of the rows it dropped."""
    derived_columns: list[str] = field(default_factory=list)
    """The columns that the transform added."""
    local: LocalPath = field(default=None, compare=False, kw_only=True)
    """The local folder."""

    @property
    def folder(self) -> Path:
        """The folder of rows.arrow, unreadable.arrow and matches.parquet (`nyc_taxi.transform.clean`)."""
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
        """Return the reference with the month's folder on this machine."""
        return dataclasses.replace(self, local=folder)


@dataclass(frozen=True, config=CONFIG)
class MonthFiles(CleanMonth):
    """A month as Parquet: trips, quarantine and quality, in a folder of the lake with a manifest."""

    objects: dict[str, LakeObject] = field(default_factory=dict)
    """By file name."""

    @property
    def is_staged(self) -> bool:
        """Always False: `local` is the folder of the Parquet files."""
        return False

    @property
    def trips_path(self) -> Path:
        """The trips, with the columns of `nyc_taxi.schema.trip_columns` and the file's unknown columns."""
        return self.folder / "trips.parquet"

    @property
    def quarantine_path(self) -> Path:
        """The quarantined rows, with the columns of `nyc_taxi.schema.QUARANTINE`."""
        return self.folder / "quarantine.parquet"

    @property
    def quality_path(self) -> Path:
        """The quality measures of the month, with the columns of `nyc_taxi.schema.QUALITY`."""
        return self.folder / "quality.parquet"
