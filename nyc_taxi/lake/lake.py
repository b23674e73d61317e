"""The lake of the settings: a folder on this machine, or a bucket that all workers share."""

from __future__ import annotations

import functools
from pathlib import Path

from nyc_taxi.lake.folder_store import FolderStore
from nyc_taxi.lake.layout import RAW
from nyc_taxi.lake.lookups import LookupFiles
from nyc_taxi.lake.object_store.store import Content, Store
from nyc_taxi.lake.raw import RawFiles
from nyc_taxi.lake.versions import Versions
from nyc_taxi.lake.workspace import Workspace
from nyc_taxi.retry import RetryPolicy
from nyc_taxi.settings import Settings


class Lake:
    """Raw files and refined versions of all months, and files of lookups."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._retry = RetryPolicy.of(settings)

    @property
    def is_shared(self) -> bool:
        """Whether the lake is a bucket; local files are then copies that may be deleted."""
        return self._settings.lake_backend != "local"

    @functools.cached_property
    def raw(self) -> RawFiles:
        """The raw files."""
        return RawFiles(self._store, self._folder, self._retry)

    @functools.cached_property
    def lookups(self) -> LookupFiles:
        """Files of lookups, such as the taxi zones."""
        return LookupFiles(self._store, self._folder, self._retry)

    @functools.cached_property
    def versions(self) -> Versions:
        """The refined months."""
        return Versions(self._store, self._folder, self._retry)

    def replace_page(self, key: str, html: str) -> str:
        """Store a page, which may replace an earlier one; returns its URI. Raises DestinationError."""
        content = Content.of(html.encode(), "text/html; charset=utf-8")

        def put() -> None:
            before = self._store.head(key)
            self._store.put(key, content, {}, before.tag if before else None, lambda _: None)

        self._retry.restart(put)
        return self._store.uri(key)

    def check(self) -> None:
        """Raise TaxiError if the lake is unreachable."""
        self._store.head(RAW)

    def describe(self) -> str:
        """Return the location, for users."""
        if self._settings.lake_backend == "gcs":
            from nyc_taxi.lake.object_store.gcs.config import GcsConfig

            return GcsConfig.from_settings(self._settings).describe()
        if self._settings.lake_backend == "s3":
            from nyc_taxi.lake.object_store.s3.config import S3Config

            return S3Config.from_settings(self._settings).where
        return f"folder {self._folder}"

    @property
    def _folder(self) -> Path:
        workspace = Workspace(self._settings.workspace)
        return workspace.copies if self.is_shared else workspace.lake

    @functools.cached_property
    def _store(self) -> Store:
        if self._settings.lake_backend == "gcs":
            from nyc_taxi.lake.object_store.gcs.config import GcsConfig
            from nyc_taxi.lake.object_store.gcs.store import GcsStore

            return GcsStore(GcsConfig.from_settings(self._settings).reachable())
        if self._settings.lake_backend == "s3":
            from nyc_taxi.lake.object_store.s3.config import S3Config
            from nyc_taxi.lake.object_store.s3.store import S3Store

            return S3Store(S3Config.from_settings(self._settings))
        return FolderStore(self._folder)
