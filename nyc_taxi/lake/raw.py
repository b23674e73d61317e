"""Raw files in the lake: every version of a month that was ever loaded, exactly as published."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import logging
import uuid
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from pathlib import Path

from pydantic.dataclasses import dataclass

from nyc_taxi.errors import NotInLake
from nyc_taxi.extract.candidates import Published
from nyc_taxi.lake.folder_store import FolderStore, is_intact
from nyc_taxi.lake.layout import RAW, SOURCE, raw_folder, raw_month
from nyc_taxi.lake.object_store.store import Content, Store, Stored
from nyc_taxi.lake.objects import download, holds, not_held, put_once, remove_folder
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.record import CONFIG, Record
from nyc_taxi.model.references import SourceFile
from nyc_taxi.retry import RetryPolicy

log = logging.getLogger(__name__)

_MEDIA_TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".csv": "text/csv",
    ".gz": "application/gzip",
}


@dataclass(frozen=True, config=CONFIG)
class Publication(Record):
    """A publication of these bytes: a source may publish them again with another ETag or URL."""

    url: str
    etag: str | None
    last_modified: str | None
    fetched_at: dt.datetime

    def matches(self, published: Published) -> bool:
        """Return whether this is the given publication; one without ETag and date never matches."""
        validators = (self.etag, self.last_modified)
        return (
            any(validators)
            and self.url == published.url
            and validators == (published.etag, published.last_modified)
        )


@dataclass(frozen=True, config=CONFIG)
class RawFile(Record):
    """The content of `source.json`, which describes the raw file beside it."""

    service: Service
    month: Month
    name: str
    sha256: str
    size: int
    """Bytes."""
    publications: list[Publication] = field(default_factory=list)
    """Publications in the order in which they were fetched."""
    place: str | None = None
    """Absolute path of a file that a local lake leaves in place because it cannot link it."""

    @property
    def key(self) -> str:
        """The key of the file in the lake."""
        return raw_folder(self.service, self.month, self.sha256) + self.name

    @classmethod
    def parse(cls, data: bytes) -> RawFile | None:
        """Parse `source.json`; None if another package version wrote it."""
        try:
            return cls.from_dict(json.loads(data))
        except ValueError:
            return None


@plain_dataclass(frozen=True)
class RawFiles:
    """The raw files of a lake. `folder` holds them, or a worker's copies of a bucket's files."""

    store: Store
    folder: Path
    retry: RetryPolicy

    def add(self, file: SourceFile) -> SourceFile:
        """Store a fetched file unless the lake already holds it; returns its reference.

        Any number of workers may add the same file at once. Raises DestinationError.
        """
        return self.retry.restart(lambda: self._add(file))

    def find(self, service: Service, month: Month, published: Published) -> SourceFile | None:
        """Return the file of this publication; None if the lake does not hold it."""
        for raw in self.held(service, month):
            for publication in raw.publications:
                if publication.matches(published) and (reference := self._reference(raw, publication)):
                    return reference
        return None

    def latest(
        self, service: Service, month: Month, prefix: str = "", urls: set[str] | None = None
    ) -> SourceFile:
        """Return the last fetched file whose SHA-256 begins with `prefix` and whose URL is in `urls`.

        Raises NotInLake.
        """
        files = self.held(service, month)
        matching = [
            (publication.fetched_at, raw, publication)
            for raw in files
            if raw.sha256.startswith(prefix)
            for publication in raw.publications
            if urls is None or publication.url in urls
        ]
        for _, raw, publication in sorted(matching, key=lambda each: each[0], reverse=True):
            if reference := self._reference(raw, publication):
                return reference
        raise not_held(f"{service} {month}", prefix, (raw.sha256 for raw in files))

    def fetch(self, file: SourceFile) -> SourceFile:
        """Return the reference with its file on this machine, downloaded if necessary; raises NotInLake."""
        if file.local is not None and file.local.exists():
            return file
        key = self._key(file)
        path = self.place(file)
        if key and path:
            if is_intact(path, file.size, file.sha256):
                return file.at(path)
            if not isinstance(self.store, FolderStore) and self._download(file, key, path):
                return file.at(path)
        raise NotInLake(f"{file}: the lake no longer holds {file.name} ({file.version}).")

    def place(self, file: SourceFile) -> Path | None:
        """Return the local path of the file once fetched; None if the lake does not know the file."""
        key = self._key(file)
        return self.folder / key if key else None  # the absolute path of a file left in place is kept

    def held(self, service: Service | None = None, month: Month | None = None) -> list[RawFile]:
        """List the raw files of a month, of a service, or of all, by service and month."""
        prefix = RAW
        if service:
            prefix = raw_month(service, month) if month else f"{RAW}service={service}/"
        keys = (key for key in self.store.keys(prefix) if key.endswith(f"/{SOURCE}"))
        read = (self.store.read(key) for key in keys)
        files = [raw for each in read if each and (raw := RawFile.parse(each[0]))]
        return sorted(files, key=lambda raw: (raw.service, raw.month))

    def remove(self, raw: RawFile) -> None:
        """Remove a raw file, its description first: without it, the lake does not hold the file."""
        remove_folder(self.store, raw_folder(raw.service, raw.month, raw.sha256), (SOURCE, raw.name))

    def find_damage(self, raw: RawFile) -> str | None:
        """Describe how a raw file differs from its record, if it does; reads the whole file."""
        if raw.place:
            intact = is_intact(Path(raw.place), raw.size, raw.sha256)
        else:
            intact = holds(self.store, raw.key, raw.size, raw.sha256)
        return None if intact else f"lacks {raw.place or raw.key} with the SHA-256 that {SOURCE} names"

    def _add(self, file: SourceFile) -> SourceFile:
        note_key = raw_folder(file.service, file.month, file.sha256) + SOURCE
        read = self.store.read(note_key)
        raw = (RawFile.parse(read[0]) if read else None) or RawFile(
            file.service, file.month, file.name, file.sha256, file.size
        )
        self._discard_damaged(raw, file.path)
        stored = self.store.head(raw.key)
        updated = raw
        if stored is None or stored.size != file.size:
            if self._stays_in_place(file.path):
                updated = dataclasses.replace(updated, place=str(file.path))
            else:
                stored = self._put(raw, file.path)
                updated = dataclasses.replace(updated, place=None)
        publication = Publication(file.url, file.etag, file.last_modified, dt.datetime.now(dt.UTC))
        known = [(each.url, each.etag, each.last_modified) for each in raw.publications]
        if (publication.url, publication.etag, publication.last_modified) not in known:
            updated = dataclasses.replace(updated, publications=[*raw.publications, publication])
        if updated != raw:
            text = json.dumps(updated.to_dict(), indent=2) + "\n"
            content = Content.of(text.encode(), "application/json")
            self.store.put(note_key, content, {}, read[1] if read else None, lambda _: None)
        tag = None if isinstance(self.store, FolderStore) or stored is None else stored.tag
        return dataclasses.replace(file, uri=updated.place or self.store.uri(raw.key), tag=tag)

    def _key(self, file: SourceFile) -> str | None:
        """Return the file's key, from its URI or, if that is missing or of another lake, its SHA-256."""
        prefix = self.store.uri("")
        if file.uri and file.uri.startswith(prefix):
            return file.uri.removeprefix(prefix)
        read = self.store.read(raw_folder(file.service, file.month, file.sha256) + SOURCE)
        raw = RawFile.parse(read[0]) if read else None
        return (raw.place or raw.key) if raw else None

    def _put(self, raw: RawFile, path: Path) -> Stored:
        media_type = _MEDIA_TYPES.get(Path(raw.name).suffix.lower(), "application/octet-stream")
        stored = put_once(self.store, raw.key, Content(path, media_type, raw.size, raw.sha256))
        level = logging.DEBUG if isinstance(self.store, FolderStore) else logging.INFO
        log.log(level, "%s %s: the lake holds %s (%s).", raw.service, raw.month, raw.name, raw.sha256[:12])
        return stored

    def _discard_damaged(self, raw: RawFile, path: Path) -> None:
        """Remove a local lake's file if it is not `path` itself and its checksum is wrong."""
        if isinstance(self.store, FolderStore):
            held = self.store.path(raw.key)
            if held.exists() and not held.samefile(path) and not is_intact(held, raw.size, raw.sha256):
                held.unlink(missing_ok=True)

    def _stays_in_place(self, path: Path) -> bool:
        """Return whether a local lake only records the path: a user's file that cannot be linked."""
        if not isinstance(self.store, FolderStore) or path.is_relative_to(self.folder.parent):
            return False
        probe = self.folder / f".link-{uuid.uuid4().hex[:8]}"
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.hardlink_to(path)
        except OSError:
            return True
        probe.unlink()
        return False

    def _download(self, file: SourceFile, key: str, path: Path) -> bool:
        if not download(self.store, key, path, file.size, file.sha256):
            return False
        log.info("%s: fetched %s (%s) from the lake.", file, file.name, file.version)
        return True

    def _reference(self, raw: RawFile, publication: Publication) -> SourceFile | None:
        """Return the reference to a file; None if the file no longer exists."""
        uri, tag = raw.place or self.store.uri(raw.key), None
        if raw.place:
            if not Path(raw.place).exists():
                return None
        else:
            stored = self.store.head(raw.key)
            if stored is None:
                return None
            tag = None if isinstance(self.store, FolderStore) else stored.tag
        return SourceFile(
            raw.service,
            raw.month,
            raw.name,
            publication.url,
            raw.sha256,
            raw.size,
            publication.etag,
            publication.last_modified,
            uri,
            tag,
        )
