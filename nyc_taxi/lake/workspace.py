"""Where files are stored in the workspace, the local folder that the steps of a pipeline share.

source/<service>/<month>/              raw files (nyc_taxi.extract)
scratch/<service>-<month>-<version>/   a cleaned month before it is Parquet
trips/service=<service>/month=<month>/version=<version>/   the Parquet of one version
current/, generated/                   links to the current version of each month (nyc_taxi.lake.current)
postgres/, gcs/, ...                   the data of embedded servers
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.lake.current import current_folder
from nyc_taxi.model.months import Month, Service

KEEP_SECONDS = 24 * 3600
"""How long a scratch folder or a superseded version is kept: another run may be using it."""


@dataclass(frozen=True)
class Workspace:
    """A folder on this machine's disk."""

    root: Path

    def scratch_folder(self, service: Service, month: Month, version: str) -> Path:
        """The cleaned month of one version."""
        return self.root / "scratch" / f"{service}-{month}-{version}"

    def version_folder(self, service: Service, month: Month, version: str) -> Path:
        """The Parquet of one version of a month."""
        return self.month_folder(service, month) / f"version={version}"

    def month_folder(self, service: Service, month: Month) -> Path:
        """All versions of a month."""
        return self.root / "trips" / f"service={service}" / f"month={month}"

    def prune(self, service: Service, month: Month, keep: str, older_than: float = KEEP_SECONDS) -> None:
        """Remove old scratch folders, and old versions of the month other than `keep` and the current one."""
        limit = time.time() - older_than
        folders = [folder for folder in (self.root / "scratch").glob("*") if not folder.name.endswith(keep)]
        versions = self.month_folder(service, month).glob("version=*")
        current = [current_folder(self.root, service, month, generated=each) for each in (False, True)]
        kept = [self.version_folder(service, month, keep).resolve(), *current]
        folders += [folder for folder in versions if folder.resolve() not in kept]
        for folder in folders:
            try:
                if folder.stat().st_mtime < limit:
                    shutil.rmtree(folder)
            except FileNotFoundError:  # another run pruned it first
                continue
