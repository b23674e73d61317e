"""Where things lie in the workspace, the folder that all steps of a flow share.

source/<service>/<month>/          downloads (nyc_taxi.extract)
scratch/<service>-<month>-<version>/   the judged month between cleaning and Parquet
trips/service=<service>/month=<month>/version=<version>/   the Parquet of one version
postgres/, gcs/, ...               the data of embedded stand-ins
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import settings

KEEP_SECONDS = 24 * 3600
"""How long a scratch folder or a superseded version is left alone: somebody may be using it."""


def scratch_folder(service: Service, month: Month, version: str) -> Path:
    """The judged month of one version."""
    return settings().workspace / "scratch" / f"{service}-{month}-{version}"


def version_folder(service: Service, month: Month, version: str) -> Path:
    """The Parquet of one version of a month."""
    return month_folder(service, month) / f"version={version}"


def month_folder(service: Service, month: Month) -> Path:
    """All versions of a month."""
    return settings().workspace / "trips" / f"service={service}" / f"month={month}"


def prune(service: Service, month: Month, keep: str, older_than: float = KEEP_SECONDS) -> None:
    """Remove old scratch folders, and old versions of the month other than `keep`."""
    limit = time.time() - older_than
    scratch = settings().workspace / "scratch"
    versions = month_folder(service, month)
    old = [folder for folder in scratch.glob("*") if not folder.name.endswith(keep)]
    old += [folder for folder in versions.glob("version=*") if folder.name != f"version={keep}"]
    for folder in old:
        try:
            if folder.stat().st_mtime < limit:
                shutil.rmtree(folder)
        except FileNotFoundError:  # another run pruned it first
            continue
