"""Refined months in the lake: the Parquet of each version, written once, its manifest last.

The manifest lists the files and their SHA-256; a version without it does not exist. Two workers that refine
the same month write the same bytes (unless their libraries differ): each write has a precondition on the
object read before, and a version is complete once a manifest describes its current objects.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nyc_taxi.errors import NotInLake
from nyc_taxi.files import digest, replacing
from nyc_taxi.lake.folder_store import FolderStore, is_intact
from nyc_taxi.lake.layout import FILES, MANIFEST, VERSIONS, version_folder, version_month
from nyc_taxi.lake.object_store.store import Content, Store, Stored
from nyc_taxi.lake.objects import download, holds, remove_folder
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import LakeObject, MonthFiles
from nyc_taxi.retry import RetryPolicy

log = logging.getLogger(__name__)

PARQUET = "application/vnd.apache.parquet"  # its registered media type


@dataclass(frozen=True)
class Versions:
    """The refined months of a lake. `folder` holds them, or a worker's copies of a bucket's months."""

    store: Store
    folder: Path
    retry: RetryPolicy

    def place(self, service: Service, month: Month, version: str) -> Path:
        """Return the local folder of a version."""
        return self.folder / version_folder(service, month, version)

    def find(self, service: Service, month: Month, version: str) -> MonthFiles | None:
        """Return the version if the lake holds it complete, else None."""
        manifest, _, objects = self._read(service, month, version)
        if manifest is None or not all(_is_described(manifest, name, objects[name]) for name in FILES):
            return None
        return self._reference(manifest, objects)

    def add(self, files: MonthFiles) -> MonthFiles:
        """Store a version from local files; returns its reference.

        If the lake already holds the complete version, nothing is written and the reference is to that one.
        """
        if isinstance(self.store, FolderStore):  # written in its place
            return self._reference(files, {})
        return self.retry.restart(lambda: self._add(files))

    def fetch(self, files: MonthFiles) -> MonthFiles:
        """Return the reference with its files on this machine, downloaded if necessary; raises NotInLake.

        Verifies the checksums of files that this process has not just written, and discards damaged files.
        """
        folder = files.local or self.place(files.service, files.month, files.version)
        held = read_month(folder)
        if held is not None and _sha256(held) == _sha256(files):
            damaged = None if files.local else _damaged(held)
            if damaged is None:
                return files.at(folder)
            log.warning("%s: its SHA-256 differs from the manifest.", folder / damaged)
            (folder / MANIFEST).unlink(missing_ok=True)
        current = None if isinstance(self.store, FolderStore) else self._download(files)
        if current is None:
            raise NotInLake(f"{files}: the lake no longer holds version {files.version}.")
        return current

    def fetch_file(self, files: MonthFiles, name: str) -> Path:
        """Return one file of a version, downloaded if necessary; raises NotInLake."""
        folder = files.local or self.place(files.service, files.month, files.version)
        path, known = folder / name, files.objects[name]
        if files.local or is_intact(path, known.size, known.sha256):
            return path
        key = version_folder(files.service, files.month, files.version) + name
        if not download(self.store, key, path, known.size, known.sha256):
            raise NotInLake(f"{files}: the lake no longer holds {name} of version {files.version}.")
        log.info("%s: fetched %s of version %s from the lake.", files, name, files.version)
        return path

    def held(self, service: Service | None = None, month: Month | None = None) -> list[MonthFiles]:
        """List the versions of a month, of a service, or of all, by service and month."""
        prefix = VERSIONS
        if service:
            prefix = version_month(service, month) if month else f"{VERSIONS}service={service}/"
        keys = (key for key in self.store.keys(prefix) if key.endswith(f"/{MANIFEST}"))
        read = (self.store.read(key) for key in keys)
        versions = [files for each in read if each and (files := parse_manifest(each[0]))]
        return sorted(versions, key=lambda files: (files.service, files.month))

    def remove(self, files: MonthFiles) -> None:
        """Remove a version, its manifest first: without it, the version does not exist."""
        folder = version_folder(files.service, files.month, files.version)
        remove_folder(self.store, folder, (MANIFEST, *FILES))

    def find_damage(self, files: MonthFiles) -> str | None:
        """Describe how a version's objects differ from its manifest, if they do; reads all of them."""
        folder = version_folder(files.service, files.month, files.version)
        for name, known in files.objects.items():
            if not holds(self.store, folder + name, known.size, known.sha256):
                return f"lacks {folder}{name} as its manifest describes it"
        return None

    def _add(self, files: MonthFiles) -> MonthFiles:
        manifest, tag, objects = self._read(files.service, files.month, files.version)
        if manifest and all(_is_described(manifest, name, objects[name]) for name in FILES):
            held = self._reference(manifest, objects)
            return held.at(files.folder) if _sha256(held) == _sha256(files) else held
        folder = version_folder(files.service, files.month, files.version)
        stored: dict[str, Stored | None] = {}
        for name in FILES:
            before = objects[name]
            if _is_described(files, name, before):
                stored[name] = before
                continue
            known = files.objects[name]
            content = Content(files.folder / name, PARQUET, known.size, known.sha256)
            marks = {"version": files.version, "sha256": known.sha256}
            before_tag = before.tag if before else None
            stored[name] = self.store.put(folder + name, content, marks, before_tag, lambda _: None)
        content = Content.of(manifest_bytes(files), "application/json")
        self.store.put(folder + MANIFEST, content, {"version": files.version}, tag, lambda _: None)
        log.info("%s: version %s is in the lake.", files, files.version)
        return self._reference(files, stored)

    def _read(
        self, service: Service, month: Month, version: str
    ) -> tuple[MonthFiles | None, str | None, dict[str, Stored | None]]:
        """Return manifest, tag and current objects; reads the manifest first, because it is written last."""
        folder = version_folder(service, month, version)
        read = self.store.read(folder + MANIFEST)
        objects = {name: self.store.head(folder + name) for name in FILES}
        return parse_manifest(read[0]) if read else None, read[1] if read else None, objects

    def _reference(self, files: MonthFiles, stored: dict[str, Stored | None]) -> MonthFiles:
        folder = version_folder(files.service, files.month, files.version)
        objects = {}
        for name, known in files.objects.items():
            tag = None if isinstance(self.store, FolderStore) else getattr(stored.get(name), "tag", None)
            objects[name] = dataclasses.replace(known, uri=self.store.uri(folder + name), tag=tag)
        return dataclasses.replace(files, objects=objects)

    def _download(self, files: MonthFiles) -> MonthFiles | None:
        """Download the version that the lake holds now; returns None if it is not complete."""
        current = self.find(files.service, files.month, files.version)
        if current is None:
            return None
        place = self.place(files.service, files.month, files.version)
        place.mkdir(parents=True, exist_ok=True)
        key = version_folder(files.service, files.month, files.version)
        for name, known in current.objects.items():
            if not download(self.store, key + name, place / name, known.size, known.sha256):
                return None  # replaced or expired meanwhile
        write_manifest(current, place)
        log.info("%s: fetched version %s from the lake.", files, files.version)
        return current.at(place)


def _damaged(files: MonthFiles) -> str | None:
    """Return the first local file of a version with a wrong checksum, if any."""
    for name, known in files.objects.items():
        if not is_intact(files.folder / name, known.size, known.sha256):
            return name
    return None


def read_month(folder: Path) -> MonthFiles | None:
    """Return the version in a local folder; None if it is not complete."""
    try:
        files = parse_manifest((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    if files is None or not all(_has_size(folder / name, files.objects[name].size) for name in FILES):
        return None
    return files.at(folder)


def write_manifest(files: MonthFiles, folder: Path) -> None:
    """Write the manifest of the files in a local folder atomically."""
    with replacing(folder / MANIFEST) as part:
        part.write_bytes(manifest_bytes(files))


def manifest_bytes(files: MonthFiles) -> bytes:
    """Return the manifest: the reference without the URIs of its files."""
    plain: dict[str, Any] = files.to_dict()
    for each in plain["objects"].values():
        del each["uri"], each["tag"]
    return json.dumps(plain, indent=2).encode() + b"\n"


def parse_manifest(data: bytes) -> MonthFiles | None:
    """Parse a manifest; None if another package version wrote it."""
    try:
        files = MonthFiles.from_dict(json.loads(data))
    except ValueError:
        return None
    return files if files.objects.keys() >= set(FILES) else None


def describe_files(folder: Path) -> dict[str, LakeObject]:
    """Return size and SHA-256 of the refined files in a local folder, by name."""
    paths = {name: folder / name for name in FILES}
    return {name: LakeObject(digest(path, "sha256"), path.stat().st_size) for name, path in paths.items()}


def _is_described(manifest: MonthFiles, name: str, stored: Stored | None) -> bool:
    known = manifest.objects[name]
    return (
        stored is not None
        and stored.size == known.size
        and stored.metadata.get("sha256", known.sha256) == known.sha256
    )


def _sha256(files: MonthFiles) -> dict[str, str]:
    return {name: known.sha256 for name, known in files.objects.items()}


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False
