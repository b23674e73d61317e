"""Lookup files in the lake, such as TLC's list of taxi zones: every version that was loaded, as published."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from dataclasses import dataclass as plain_dataclass
from pathlib import Path

from pydantic.dataclasses import dataclass

from nyc_taxi.errors import NotInLake, PreconditionFailed
from nyc_taxi.lake.folder_store import is_intact
from nyc_taxi.lake.layout import SOURCE, lookup_folder
from nyc_taxi.lake.object_store.store import Content, Store
from nyc_taxi.lake.objects import download, not_held, put_once
from nyc_taxi.model.record import CONFIG, Record
from nyc_taxi.retry import RetryPolicy


@dataclass(frozen=True, config=CONFIG)
class LookupFile(Record):
    """A reference to a lookup's file in the lake; also the content of the `source.json` beside the file."""

    lookup: str
    """Name of the lookup: `zones`."""
    name: str
    """Of the file, as published."""
    url: str
    """URL, without credentials and query, or path that the file was last fetched from."""
    sha256: str
    size: int
    """Bytes."""
    fetched_at: dt.datetime

    @property
    def key(self) -> str:
        """The key of the file in the lake."""
        return lookup_folder(self.lookup, self.sha256) + self.name


@plain_dataclass(frozen=True)
class LookupFiles:
    """The lookup files of a lake. `folder` holds them, or a worker's copies of those in a bucket."""

    store: Store
    folder: Path
    retry: RetryPolicy

    def add(self, lookup: str, path: Path, url: str) -> LookupFile:
        """Store a file unless the lake holds it; returns its reference. Raises DestinationError."""
        content = Content.of(path.read_bytes(), "text/csv")
        file = LookupFile(lookup, path.name, url, content.sha256, content.size, dt.datetime.now(dt.UTC))
        note_key = lookup_folder(lookup, file.sha256) + SOURCE
        note = Content.of(json.dumps(file.to_dict(), indent=2).encode(), "application/json")

        def put() -> None:
            put_once(self.store, file.key, content)
            read = self.store.read(note_key)
            with contextlib.suppress(PreconditionFailed):  # another worker has just fetched the same bytes
                self.store.put(note_key, note, {}, read[1] if read else None, lambda _: None)

        self.retry.restart(put)
        return file

    def latest(self, lookup: str, prefix: str = "") -> LookupFile:
        """The file fetched last, of those whose SHA-256 begins with `prefix`; raises NotInLake."""
        keys = [key for key in self.store.keys(lookup_folder(lookup)) if key.endswith(f"/{SOURCE}")]
        read = (self.store.read(key) for key in keys)
        files = [LookupFile.from_dict(json.loads(each[0])) for each in read if each]
        matching = [file for file in files if file.sha256.startswith(prefix)]
        if not matching:
            raise not_held(lookup, prefix, (file.sha256 for file in files))
        return max(matching, key=lambda file: file.fetched_at)

    def fetch(self, file: LookupFile) -> Path:
        """The file on this machine, downloaded if it is not there; raises NotInLake."""
        path = self.folder / file.key
        if not is_intact(path, file.size, file.sha256) and not download(
            self.store, file.key, path, file.size, file.sha256
        ):
            raise NotInLake(
                f"{file.lookup}: the lake no longer holds {file.name} ({file.sha256[:12]});"
                " load it from its source."
            )
        return path
