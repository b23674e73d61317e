"""The layout of the workspace, a folder on the local disk of one machine.

lake/                                  the local lake
copies/                                downloads from a lake in a bucket
source/<service>/<month>/              downloads (nyc_taxi.extract)
scratch/<service>-<month>-<version>/   a cleaned month before it is Parquet
current/, generated/                   links to the current version of each month (nyc_taxi.lake.current)
postgres/, gcs/, ...                   the data of embedded servers
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.lake.current import current_folder
from nyc_taxi.lake.layout import version_folder, version_month
from nyc_taxi.model.months import Month, Service

KEEP_SECONDS = 24 * 3600
"""Seconds to keep scratch folders, superseded versions and copies of the lake: a run may use them."""


@dataclass(frozen=True)
class Workspace:
    """A folder on this machine's disk."""

    root: Path

    @property
    def lake(self) -> Path:
        """The local lake, in the layout of `nyc_taxi.lake.layout`."""
        return self.root / "lake"

    @property
    def copies(self) -> Path:
        """Copies of the bucket's files in the same layout; may be deleted at any time."""
        return self.root / "copies"

    def scratch_folder(self, service: Service, month: Month, version: str) -> Path:
        """Return the folder of one version's cleaned month."""
        return self.root / "scratch" / f"{service}-{month}-{version}"

    def version_folder(self, service: Service, month: Month, version: str) -> Path:
        """Return the folder of one version's Parquet."""
        return self.lake / version_folder(service, month, version)

    def month_folder(self, service: Service, month: Month) -> Path:
        """Return the folder of all versions of a month."""
        return self.lake / version_month(service, month)

    def prune(self, service: Service, month: Month, keep: str, older_than: float = KEEP_SECONDS) -> None:
        """Remove old scratch folders, and old versions of the month except `keep` and the current one."""
        limit = time.time() - older_than
        folders = [folder for folder in self.scratch_before(limit) if not folder.name.endswith(keep)]
        versions = self.month_folder(service, month).glob("version=*")
        current = [current_folder(self.root, service, month, generated=each) for each in (False, True)]
        kept = [self.version_folder(service, month, keep).resolve(), *current]
        folders += [folder for folder in _before(versions, limit) if folder.resolve() not in kept]
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):  # another run pruned it first
                shutil.rmtree(folder)

    def scratch_before(self, limit: float) -> list[Path]:
        """Return scratch folders last changed before `limit`, in seconds since 1970."""
        return sorted(_before((self.root / "scratch").glob("*"), limit))

    def prune_copies(self, older_than: float = KEEP_SECONDS) -> None:
        """Remove old downloads and copies of the bucket's files, so that a worker's disk does not fill up.

        If a local lake exists, downloads are kept, because it may refer to them.
        """
        limit = time.time() - older_than
        for name in ("copies",) if self.lake.exists() else ("copies", "source", "inbox"):
            for path, info in files_below(self.root / name):
                if path.name != ".lock" and info.st_mtime < limit:
                    path.unlink(missing_ok=True)


def files_below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files below a folder, in order; skips those that another run removes meanwhile."""
    for root, folders, names in os.walk(folder):
        folders.sort()
        for path in (Path(root) / name for name in sorted(names)):
            try:
                info = path.stat()
            except FileNotFoundError:
                continue
            yield path, info


def _before(folders: Iterable[Path], limit: float) -> list[Path]:
    old = []
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):  # another run removed it
            if folder.stat().st_mtime < limit:
                old.append(folder)
    return old
