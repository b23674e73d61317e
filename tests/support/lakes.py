"""Lakes for tests: in a folder and in a bucket of each kind, with a folder per worker."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nyc_taxi.lake.folder_store import FolderStore
from nyc_taxi.lake.object_store.gcs.config import GcsConfig
from nyc_taxi.lake.object_store.gcs.store import GcsStore
from nyc_taxi.lake.object_store.s3.config import S3Config
from nyc_taxi.lake.object_store.s3.store import S3Store
from nyc_taxi.lake.object_store.store import Store
from nyc_taxi.lake.raw import RawFiles
from nyc_taxi.lake.versions import Versions
from nyc_taxi.retry import RetryPolicy
from nyc_taxi.settings import load_settings
from tests.support.clouds import Cloud, gcs_cloud, s3_cloud


@dataclass
class Lakes:
    """One lake, as several workers see it."""

    folder: Path
    cloud: Cloud | None
    """The bucket; None for a local lake."""

    def store(self) -> Store:
        """Return the store, with its own connection."""
        if self.cloud is None:
            return FolderStore(self.folder / "lake")
        target = self.cloud.target()
        if isinstance(target, GcsConfig):
            return GcsStore(target)
        assert isinstance(target, S3Config)
        return S3Store(target)

    def raw(self, worker: str = "one") -> RawFiles:
        """Return the raw files as seen by a worker."""
        return RawFiles(self.store(), self._place(worker), RetryPolicy.of(load_settings()))

    def versions(self, worker: str = "one") -> Versions:
        """Return the versions as seen by a worker."""
        return Versions(self.store(), self._place(worker), RetryPolicy.of(load_settings()))

    def _place(self, worker: str) -> Path:
        return self.folder / ("lake" if self.cloud is None else worker) / ("lake" * bool(self.cloud))


@contextlib.contextmanager
def lakes(kind: str, folder: Path) -> Iterator[Lakes]:
    """Yield an empty lake: `folder`, `gcs` or `s3`."""
    if kind == "folder":
        yield Lakes(folder, None)
    elif kind == "gcs":
        with gcs_cloud() as gcs:
            yield Lakes(folder, gcs)
    else:
        with s3_cloud() as s3:
            yield Lakes(folder, s3)


@pytest.fixture(params=["folder", "gcs", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path, quick: None) -> Iterator[Lakes]:
    """A lake of each kind."""
    with lakes(request.param, tmp_path / "lakes") as lake:
        yield lake


@pytest.fixture(params=["gcs", "s3"])
def shared_lake(request: pytest.FixtureRequest, tmp_path: Path, quick: None) -> Iterator[Lakes]:
    """A lake in a bucket of each kind."""
    with lakes(request.param, tmp_path / "lakes") as lake:
        yield lake
