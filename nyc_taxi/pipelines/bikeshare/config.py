"""The pipeline's systems: those of io_config.yaml, and local replacements for the missing ones.

Generated data never mixes with other data: it has its own database file, bucket folder and dataset, which
are used as long as no database is configured and no files are seeded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.errors import SettingsError
from nyc_taxi.lake.object_store.gcs.config import GcsConfig
from nyc_taxi.lake.object_store.gcs.store import GcsStore
from nyc_taxi.lake.object_store.store import Store, root
from nyc_taxi.lake.workspace import KEEP_SECONDS
from nyc_taxi.pipelines.bikeshare.database import Database
from nyc_taxi.pipelines.bikeshare.tables import RawTable, read_tables
from nyc_taxi.settings import Settings

NAME = "bikeshare"
SAMPLE = "bikeshare_sample"
"""Name of the folder, dataset and database of generated data."""


@dataclass(frozen=True)
class BikeshareConfig:
    """The systems that the pipeline reads and writes."""

    name: str
    """Name of the folder in the bucket, and the default name of dataset and database."""
    settings: Settings

    @classmethod
    def from_settings(cls, settings: Settings) -> BikeshareConfig:
        """Return the config, that of generated data unless a database is configured or seeded from files."""
        configured = "MYSQL_HOST" in settings.connections or settings.bikeshare_extract == "export"
        if configured or not Database.demo(settings, NAME).missing:
            return cls(NAME, settings)
        return cls(SAMPLE, settings)

    @property
    def generated(self) -> bool:
        """Whether the data is generated."""
        return self.name == SAMPLE

    @property
    def tables(self) -> tuple[RawTable, ...]:
        """The tables of TAXI_BIKESHARE_TABLES; raises SettingsError that names a mistake in the file."""
        return read_tables(self.settings.bikeshare_tables)

    def table(self, name: str) -> RawTable:
        """Return one table; raises SettingsError that lists the names."""
        tables = {table.name: table for table in self.tables}
        if name not in tables:
            raise SettingsError(
                f"{self.settings.bikeshare_tables}: has no table {name!r}; it has {', '.join(tables)}."
            )
        return tables[name]

    @property
    def database(self) -> Database:
        """Return the application's database, or the demo file, unopened; raises SettingsError."""
        if "MYSQL_HOST" in self.settings.connections:
            return Database.from_settings(self.settings)
        return Database.demo(self.settings, self.name)

    @functools.cached_property
    def bucket(self) -> Store:
        """Return the pipeline's folder in the bucket, starting the embedded emulator without a bucket."""
        return GcsStore(self._gcs)

    def uri(self, key: str) -> str:
        """Return the gs:// URI of an object in the folder."""
        return f"gs://{self._gcs.bucket}/{self._gcs.prefix}/{key}"

    @functools.cached_property
    def _gcs(self) -> GcsConfig:
        gcs = GcsConfig.from_settings(self.settings).reachable()
        return dataclasses.replace(gcs, prefix=root(gcs.prefix) + self.name)

    @functools.cached_property
    def dataset(self) -> str:
        """The dataset in BigQuery or schema in DuckDB: BIKESHARE_DATASET, else one next to the trips'."""
        values = self.settings.connections
        configured = str(values.get("BIKESHARE_DATASET", ""))
        default = f"{values['BIGQUERY_DATASET']}_{self.name}" if "BIGQUERY_DATASET" in values else self.name
        dataset = configured if configured and not self.generated else default
        if not re.fullmatch(r"[A-Za-z0-9_]{1,200}", dataset):
            raise SettingsError(
                f"BIKESHARE_DATASET={dataset!r} is not a dataset's name: use letters, digits and _ only."
            )
        return dataset

    @property
    def folder(self) -> Path:
        """The pipeline's part of the workspace."""
        return self.settings.workspace / self.name

    def remove_leftovers(self) -> None:
        """Remove files of runs that were interrupted at least a day ago."""
        limit = time.time() - KEEP_SECONDS
        for path in [*self.folder.glob("extract/*"), *self.folder.glob("load/*")]:
            with contextlib.suppress(FileNotFoundError):  # another run may remove it first
                if path.stat().st_mtime < limit:
                    shutil.rmtree(path)
