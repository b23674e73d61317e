"""Where the pipeline works: what io_config.yaml names, and local replacements for what it does not name.

Generated data never mixes with other data: it has a database file, a folder in the bucket and a dataset
of its own, which are used while no application's database is configured and no files were seeded.
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
"""The name of everything that holds generated data."""


@dataclass(frozen=True)
class BikeshareConfig:
    """Where the pipeline reads from and writes to."""

    name: str
    """Of the folder in the bucket, and of the dataset and the database where none is configured."""
    settings: Settings

    @classmethod
    def from_settings(cls, settings: Settings) -> BikeshareConfig:
        """The config of generated data unless a database is configured or was seeded from files."""
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
        """One table; raises SettingsError that lists the names."""
        tables = {table.name: table for table in self.tables}
        if name not in tables:
            raise SettingsError(
                f"{self.settings.bikeshare_tables}: has no table {name!r}; it has {', '.join(tables)}."
            )
        return tables[name]

    @property
    def database(self) -> Database:
        """The application's database, or the demo file; opens neither. Raises SettingsError."""
        if "MYSQL_HOST" in self.settings.connections:
            return Database.from_settings(self.settings)
        return Database.demo(self.settings, self.name)

    @functools.cached_property
    def bucket(self) -> Store:
        """The pipeline's folder in the bucket; starts the embedded server if no bucket is configured."""
        return GcsStore(self._gcs)

    def uri(self, key: str) -> str:
        """The gs:// URI of an object in the folder."""
        return f"gs://{self._gcs.bucket}/{self._gcs.prefix}/{key}"

    @functools.cached_property
    def _gcs(self) -> GcsConfig:
        gcs = GcsConfig.from_settings(self.settings).reachable()
        return dataclasses.replace(gcs, prefix=root(gcs.prefix) + self.name)

    @functools.cached_property
    def dataset(self) -> str:
        """The dataset in BigQuery or schema in DuckDB: BIKESHARE_DATASET, else one beside the trips'."""
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
        """Remove files that interrupted runs left in the workspace a day ago or earlier."""
        limit = time.time() - KEEP_SECONDS
        for path in [*self.folder.glob("extract/*"), *self.folder.glob("load/*")]:
            with contextlib.suppress(FileNotFoundError):  # another run may remove it first
                if path.stat().st_mtime < limit:
                    shutil.rmtree(path)
