"""`taxi prune`: remove superseded versions, unused generated months, scratch files and copies.

Raw files published by TLC are kept. A version is superseded once a destination's ledger records another
version, or a deletion, after it. Recently used files are kept: a run or a reader may be using them.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from nyc_taxi.lake.current import current_folder, remove_current
from nyc_taxi.lake.lake import Lake
from nyc_taxi.lake.raw import RawFile
from nyc_taxi.lake.workspace import Workspace, files_below
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles, is_sample
from nyc_taxi.settings import Settings


@dataclass(frozen=True)
class Prunable:
    """Files that may be removed."""

    what: str
    size: int
    """Bytes."""
    remove: Callable[[], None]


def find_prunable(destinations: list[str], settings: Settings, days: float) -> Iterator[Prunable]:
    """Yield files last used more than `days` ago; raises DestinationError if a ledger cannot be read."""
    limit = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
    opened = [open_destination(name, settings) for name in destinations]
    in_force = [entry for each in opened for entry in each.ledger_entries()]

    def history(service: Service, month: Month) -> list[list[LedgerEntry]]:
        return [each.history(service, month) for each in opened]

    lake = Lake(settings)
    removed = set()
    for raw in _unused_samples(lake, in_force, limit):
        removed.add((raw.service, raw.month, raw.sha256))
        yield _sample(raw, lake, settings)
    for files in lake.versions.held():
        if (files.service, files.month, files.source.sha256) in removed:
            continue
        if _is_superseded(files, in_force, history, settings, limit):
            yield Prunable(f"superseded version {files} {files.version}", _size(files), _remover(lake, files))
    yield from _old_local(Workspace(settings.workspace), lake, limit)


def _unused_samples(lake: Lake, in_force: list[LedgerEntry], limit: dt.datetime) -> Iterator[RawFile]:
    """Yield generated months that no destination holds."""
    used = {(entry.service, entry.month, entry.source_sha256) for entry in in_force}
    for raw in lake.raw.held():
        is_generated = raw.publications and all(is_sample(each.url) for each in raw.publications)
        fetched = [each.fetched_at for each in raw.publications]
        if is_generated and max(fetched) < limit and (raw.service, raw.month, raw.sha256) not in used:
            yield raw


def _sample(raw: RawFile, lake: Lake, settings: Settings) -> Prunable:
    held = lake.versions.held(raw.service, raw.month)
    versions = [files for files in held if files.source.sha256 == raw.sha256]

    def remove() -> None:
        current = current_folder(settings.workspace, raw.service, raw.month, generated=True)
        if current and current.name in {f"version={files.version}" for files in versions}:
            remove_current(settings.workspace, raw.service, raw.month, generated=True)
        for files in versions:
            lake.versions.remove(files)
        lake.raw.remove(raw)

    size = raw.size + sum(map(_size, versions))
    return Prunable(f"generated month {raw.service} {raw.month} ({raw.sha256[:12]})", size, remove)


def _is_superseded(
    files: MonthFiles,
    in_force: list[LedgerEntry],
    history: Callable[[Service, Month], list[list[LedgerEntry]]],
    settings: Settings,
    limit: dt.datetime,
) -> bool:
    this = (files.service, files.month, files.version)
    current = [
        folder.name
        for generated in (False, True)
        if (folder := current_folder(settings.workspace, files.service, files.month, generated=generated))
    ]
    if f"version={files.version}" in current or any(
        (entry.service, entry.month, entry.version) == this for entry in in_force
    ):
        return False
    times = [
        later.finished_at
        for entries in history(files.service, files.month)
        for earlier, later in pairwise(entries)
        if earlier.version == files.version
    ]
    return bool(times) and max(times) < limit


def _remover(lake: Lake, files: MonthFiles) -> Callable[[], None]:
    return lambda: lake.versions.remove(files)


def _old_local(workspace: Workspace, lake: Lake, limit: dt.datetime) -> Iterator[Prunable]:
    """Yield scratch files of interrupted runs, and copies of a bucket's files."""
    for folder in workspace.scratch_before(limit.timestamp()):
        size = sum(info.st_size for _, info in files_below(folder))
        yield Prunable(f"scratch {folder.name}", size, _delete(folder))
    for path, info in files_below(workspace.copies) if lake.is_shared else ():
        if path.name != ".lock" and info.st_mtime < limit.timestamp():
            yield Prunable(f"copy {path.relative_to(workspace.copies)}", info.st_size, _delete(path))


def _delete(path: Path) -> Callable[[], None]:
    if path.is_dir():
        return lambda: shutil.rmtree(path, ignore_errors=True)
    return lambda: path.unlink(missing_ok=True)


def _size(files: MonthFiles) -> int:
    return sum(known.size for known in files.objects.values())
