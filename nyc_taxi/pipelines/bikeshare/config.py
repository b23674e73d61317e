"""Where the flow works: what io_config.yaml names, and stand-ins on this machine where it names nothing.

Generated data never mixes with other data: it has a database, a folder in the bucket and a schema of
its own, which are used when nothing is configured and nothing was seeded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from nyc_taxi.errors import SettingsError
from nyc_taxi.lake.workspace import KEEP_SECONDS
from nyc_taxi.load.object_store.gcs.config import GcsConfig, configured, embedded
from nyc_taxi.load.object_store.gcs.store import GcsStore
from nyc_taxi.load.object_store.store import Store, root
from nyc_taxi.settings import profile, settings

NAME = "bikeshare"
SAMPLE = "bikeshare_sample"
"""The name of everything that holds generated data."""


@dataclass(frozen=True)
class Mysql:
    """The application's database, and how to get in."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    ssl_ca: str = ""
    """File with the certificate that has signed the server's, which is then verified; empty: encrypted where
    the server offers it, whoever it is."""

    @property
    def where(self) -> str:
        """Host, port and database, for people."""
        return f"{self.host}:{self.port}/{self.database}"


@dataclass(frozen=True)
class Place:
    """Where the flow works."""

    name: str
    """Of the folder in the bucket, and of the schema and the database where none is configured."""

    @property
    def generated(self) -> bool:
        """Whether the data there is generated."""
        return self.name == SAMPLE

    @functools.cached_property
    def mysql(self) -> Mysql:
        """The database; starts the stand-in when it is the one. Raises SettingsError or SourceError."""
        return _configured_mysql() or _standin_mysql(self.name)

    @functools.cached_property
    def bucket(self) -> Store:
        """The flow's folder in the bucket; starts the stand-in when it is the one."""
        return GcsStore(self._folder)

    def uri(self, key: str) -> str:
        """An object of the folder, as Google's tools name it."""
        return f"gs://{self._folder.bucket}/{self._folder.prefix}/{key}"

    @functools.cached_property
    def _folder(self) -> GcsConfig:
        target = configured() or embedded()
        return dataclasses.replace(target, prefix=root(target.prefix) + self.name)

    @functools.cached_property
    def dataset(self) -> str:
        """The dataset in BigQuery or schema in DuckDB: BIKESHARE_DATASET, else one beside the trips'."""
        values = profile()
        named = str(values.get("BIKESHARE_DATASET", ""))
        beside = f"{values['BIGQUERY_DATASET']}_{NAME}" if "BIGQUERY_DATASET" in values else self.name
        dataset = named if named and not self.generated else beside
        if not re.fullmatch(r"[A-Za-z0-9_]{1,200}", dataset):
            raise SettingsError(
                f"BIKESHARE_DATASET={dataset!r} is not a dataset's name: use letters, digits and _ only."
            )
        return dataset

    @property
    def folder(self) -> Path:
        """The flow's part of the workspace."""
        return settings().workspace / self.name

    def sweep(self) -> None:
        """Remove from the workspace what runs, killed ones too, left there a day ago or more."""
        limit = time.time() - KEEP_SECONDS
        for left in [*self.folder.glob("extract/*"), *self.folder.glob("load/*")]:
            with contextlib.suppress(FileNotFoundError):  # another run sweeps too
                if left.stat().st_mtime < limit:
                    shutil.rmtree(left)


def place() -> Place:
    """The place of runs: that of generated data when nothing is configured and nothing was seeded."""
    named = profile().keys() & {"MYSQL_HOST", "GCS_BUCKET", "BIGQUERY_DATASET"}
    return Place(NAME if named or seeded_marker().exists() else SAMPLE)


def seeded_marker() -> Path:
    """The file that `taxi bikeshare seed` leaves: it says from where the stand-ins were filled."""
    return settings().workspace / NAME / "seeded"


def embedded_folder() -> Path:
    """Where the embedded MySQL server keeps its data."""
    return settings().workspace / "mysql"


def _configured_mysql() -> Mysql | None:
    values = profile()
    if "MYSQL_HOST" not in values:
        return None
    port = str(values.get("MYSQL_PORT", 3306))
    if not port.isdecimal():
        raise SettingsError(f"MYSQL_PORT={port!r} is not a port: set a number such as 3306.")
    return Mysql(
        host=str(values["MYSQL_HOST"]),
        port=int(port),
        database=str(values.get("MYSQL_DATABASE", NAME)),
        user=str(values.get("MYSQL_USER", "")),
        password=str(values.get("MYSQL_PASSWORD", "")),
        ssl_ca=str(values.get("MYSQL_SSL_CA", "")),
    )


def _standin_mysql(database: str) -> Mysql:
    from nyc_taxi.local import mysql

    server = mysql.ensure(embedded_folder())
    return Mysql(server.host, server.port, database, server.user, server.password)
