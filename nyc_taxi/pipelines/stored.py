"""The lake as a source: reload months from their stored raw files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from nyc_taxi.errors import NotInLake, SettingsError
from nyc_taxi.lake.lake import Lake
from nyc_taxi.lake.layout import MANIFEST
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import SourceFile


def is_lake(source: str) -> bool:
    """Return whether a source is `lake` or `lake:<prefix>`."""
    return source.strip().lower().partition(":")[0] == "lake"


def parse_prefix(source: str) -> str:
    """Return the prefix of `lake:<prefix>`, empty for `lake`; raises SettingsError if it is not hex."""
    prefix = source.strip().lower().partition(":")[2]
    if not re.fullmatch(r"[0-9a-f]*", prefix):
        raise SettingsError(
            f"source {source!r} is not known: write lake, or lake: and the first digits of a SHA-256 or of a"
            " version (`taxi lake list`)."
        )
    return prefix


def in_lake(service: Service, month: Month, source: str, lake: Lake) -> SourceFile:
    """The raw file that `lake` or `lake:<prefix>` stands for; the prefix of a SHA-256 or of a version.

    Raises SettingsError for anything but hex digits, NotInLake.
    """
    prefix = parse_prefix(source)
    try:
        return lake.raw.latest(service, month, prefix)
    except NotInLake:
        versions = [each for each in lake.versions.held(service, month) if each.version.startswith(prefix)]
        if not prefix or not versions:
            raise
        return lake.raw.latest(service, month, versions[0].source.sha256)


def copy_out(lake: Lake, service: Service, month: Month, which: str, folder: Path) -> list[Path]:
    """Copy a version's files, or else a raw file, into a folder; returns their paths.

    `which` is the prefix of a version or of a raw file's SHA-256; empty for the last fetched file. Raises
    SettingsError if it is not hex, NotInLake.
    """
    versions = [files for files in lake.versions.held(service, month) if files.version.startswith(which)]
    if which and versions:
        files = lake.versions.fetch(versions[0])
        paths = [files.folder / name for name in (*files.objects, MANIFEST)]
    else:
        paths = [lake.raw.fetch(in_lake(service, month, f"lake:{which}", lake)).path]
    folder.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copy2(path, folder)) for path in paths]
