"""The current version of each month, as data sets that engines can read unaware of versions.

    current/trips/service=green/month=2020-04/trips.parquet
    current/quarantine/service=green/month=2020-04/quarantine.parquet
    current/quality/service=green/month=2020-04/quality.parquet
    current/manifests/service=green/month=2020-04/manifest.json
    generated/...    the same for generated months, so that they never count as TLC's

The layout in the workspace is that of a bucket. The files are relative symbolic links into version folders;
each is replaced atomically, the manifest last. A month becomes current once a destination holds it, and
ceases to be current once it is deleted from every destination.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles

MANIFEST = "manifest.json"
_FILES = {
    "quality": "quality.parquet",
    "quarantine": "quarantine.parquet",
    "trips": "trips.parquet",
    "manifests": MANIFEST,
}
"""File names by data set, in the order of replacement."""

_PARTITION = re.compile(rf"service=({'|'.join(Service)})/month=(\d{{4}}-\d{{2}})/[^/]+$")


def make_current(files: MonthFiles, workspace: Path) -> None:
    """Make a version the month's current one; a real month also replaces a generated one."""
    root = _root(workspace, generated=files.source.is_sample)
    superseded = current_folder(workspace, files.service, files.month, generated=files.source.is_sample)
    if superseded and superseded != files.folder.resolve():
        os.utime(superseded)  # a reader may have it open: keep it for another day
    for kind, name in _FILES.items():
        link = _link(root, kind, files.service, files.month)
        link.parent.mkdir(parents=True, exist_ok=True)
        _replace(link, Path(os.path.relpath((files.folder / name).resolve(), link.parent.resolve())))
    if not files.source.is_sample:
        remove_current(workspace, files.service, files.month, generated=True)


def current_folder(
    workspace: Path, service: Service, month: Month, *, generated: bool = False
) -> Path | None:
    """Return the folder of the current version's Parquet files and manifest; None if there is none."""
    manifest = _link(_root(workspace, generated), "manifests", service, month)
    try:
        return manifest.resolve(strict=True).parent
    except FileNotFoundError:
        return None


def current_months(workspace: Path, *, generated: bool = False) -> Iterator[tuple[Service, Month]]:
    """Yield services and months with a current version, in order; either real or generated ones."""
    root = _root(workspace, generated) / "manifests"
    for manifest in sorted(root.glob(f"service=*/month=*/{MANIFEST}")):
        if match := _PARTITION.search(manifest.as_posix()):
            yield Service(match[1]), Month.parse(match[2])


def remove_current(workspace: Path, service: Service, month: Month, *, generated: bool = False) -> None:
    """Remove the links to the current version of a month, the manifest first."""
    root = _root(workspace, generated)
    for kind in reversed(_FILES):
        _link(root, kind, service, month).unlink(missing_ok=True)


def _root(workspace: Path, generated: bool) -> Path:
    return workspace / ("generated" if generated else "current")


def _link(root: Path, kind: str, service: Service, month: Month) -> Path:
    return root / kind / f"service={service}" / f"month={month}" / _FILES[kind]


def _replace(link: Path, target: Path) -> None:
    temporary = link.with_name(f".{link.name}.{uuid.uuid4().hex[:8]}")
    temporary.symlink_to(target)
    temporary.replace(link)
