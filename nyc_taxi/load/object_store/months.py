"""Months in an object store: replaced object by object, in an order that is safe to interrupt.

Object stores have no transactions. Each object is replaced at once by one upload under its fixed name
and carries its version; quality, quarantine and trips come first, then the manifest, which is the
ledger's current row, and last a copy of it in the ledger's history. A month counts as recorded only
when its manifest describes all objects as they are, so a killed writer leaves a month
that the next run loads again. Until then a reader may see new trips next to old quarantine, but never
half an object.

Concurrent writers: each overwrites only what it has read. The manifest is read first and written last, so
of two concurrent loads only one can write its manifest; the other reads again and starts over.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import DestinationError
from nyc_taxi.lake.layout import version_folder
from nyc_taxi.lake.object_store.store import Content, Sent, Store, Stored
from nyc_taxi.lake.versions import PARQUET, Versions
from nyc_taxi.load.contract import Lookup, Progress, check_counts, refuse_sample
from nyc_taxi.load.footer import footer
from nyc_taxi.load.object_store.layout import (
    KINDS,
    MANIFESTS,
    data_key,
    history_folder,
    history_key,
    manifest_key,
    month_of,
)
from nyc_taxi.load.object_store.manifest import Manifest, marks
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import CleanMonth, LakeObject, MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.retry import RetryPolicy
from nyc_taxi.transform.refined import RefinedMonth

log = logging.getLogger(__name__)

CONNECTIONS = 8
"""Requests at once when all manifests are read; both SDKs keep ten connections."""


@dataclass(frozen=True)
class _Held:
    """What a store holds of a month."""

    manifest: Manifest | None
    manifest_tag: str | None
    objects: dict[str, Stored | None]

    @property
    def row(self) -> LedgerEntry | None:
        """The manifest's row when all objects are as it says."""
        manifest = self.manifest
        if manifest and all(manifest.describes(kind, stored) for kind, stored in self.objects.items()):
            return manifest.entry
        return None


class ObjectMonths:
    """The Destination protocol over any store."""

    def __init__(
        self, where: str, open_store: Callable[[], Store], retry: RetryPolicy, is_lake: bool = False
    ) -> None:
        """`where` is for messages; `open_store` is called when the store is first needed.

        `is_lake`: the store is the lake too, so a month is copied from its version there, not uploaded again.
        """
        self._where = where
        self._is_lake = is_lake
        self._open = open_store
        self._retry = retry

    @functools.cached_property
    def _store(self) -> Store:
        return self._open()

    def describe(self) -> str:
        """Where it is; names the embedded server or emulator if it is one."""
        return self._where

    def read_object(self, key: str) -> bytes | None:
        """The content of an object (see `layout`); None if it does not exist."""
        stored = self._store.read(key)
        return stored[0] if stored else None

    def ledger_entry(self, service: Service, month: Month) -> LedgerEntry | None:
        """The manifest's row; None when the month was never loaded, or its last load did not finish."""
        row = self._read(service, month).row
        return row if row and self._store.head(history_key(row)) else None

    def ledger_entries(self) -> list[LedgerEntry]:
        """The row of every month that is whole, by service and month."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            rows = pool.map(lambda month: self.ledger_entry(*month), self.recorded_months())
            return [row for row in rows if row]

    def history(self, service: Service, month: Month) -> list[LedgerEntry]:
        """See Destination."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            contents = pool.map(self.read_object, self._store.keys(history_folder(service, month)))
            manifests = [Manifest.parse(content) for content in contents if content]
        return [manifest.entry for manifest in manifests if manifest]

    def recorded_months(self) -> list[tuple[Service, Month]]:
        """See Destination."""
        return sorted(filter(None, map(month_of, self._store.keys(MANIFESTS))))

    def find_damage(self, service: Service, month: Month, *, thorough: bool = False) -> str | None:
        """See Destination; a load that did not finish counts as damage."""
        held = self._read(service, month)
        if held.manifest is None:
            return (
                None
                if held.manifest_tag is None
                else "has a manifest that this version of nyc_taxi cannot read"
            )
        for kind, stored in held.objects.items():
            key = data_key(kind, service, month)
            if stored is None:
                return f"lacks {key}"
            if not held.manifest.describes(kind, stored):
                return f"holds {key} in another version than its manifest names"
            if thorough and not self._is_intact(key, held.manifest.objects[kind].sha256):
                return f"holds {key} with another SHA-256 than its manifest names"
        return None

    def _is_intact(self, key: str, sha256: str) -> bool:
        data = self.read_object(key)
        return data is not None and hashlib.sha256(data).hexdigest() == sha256

    def replace_month(
        self,
        month: RefinedMonth,
        run: Run,
        progress: Progress | None = None,
        damaged: LedgerEntry | None = None,
    ) -> LedgerEntry:
        """Make the month equal to `month`; objects that are in place already are not sent again.

        When it raises, objects of the month that were replaced before stay replaced: the month counts
        as not recorded, and loading it again repairs it.
        """
        started = dt.datetime.now(dt.UTC)
        summary = month.summary
        count = _Count(summary.rows_in, progress)

        def replace() -> LedgerEntry:
            held = self._read(summary.service, summary.month)
            manifest = held.manifest
            refuse_sample(summary, manifest.entry if manifest else None, self._where)
            is_damaged = damaged is not None and held.row == damaged
            if manifest is None or held.row is None or held.row.version != summary.version or is_damaged:
                contents = self._in_lake(summary) or _contents(month.files())
                count.size = sum(each.size for each in contents.values())
                manifest = self._replace(held, summary, run, started, contents, count, is_damaged)
            self._keep(manifest)
            return manifest.entry

        return self._retry.restart(replace)

    def replace_lookup(self, lookup: Lookup) -> None:
        """Make `<name>/<name>.parquet` equal to `lookup`, by one upload."""
        sink = pa.BufferOutputStream()
        pq.write_table(lookup.rows, sink, compression="zstd")
        content = Content.of(sink.getvalue().to_pybytes(), PARQUET)
        key = f"{lookup.name}/{lookup.name}.parquet"
        self._retry.restart(
            lambda: self._bring(key, content, content.sha256[:12], self._store.head(key), lambda _: None)
        )

    def _read(self, service: Service, month: Month) -> _Held:
        # The manifest first: a writer that replaces one of the objects read below has not replaced the
        # manifest yet, and one of the two writers then fails.
        stored = self._store.read(manifest_key(service, month))
        manifest = Manifest.parse(stored[0]) if stored else None
        objects = {kind: self._store.head(data_key(kind, service, month)) for kind in KINDS}
        return _Held(manifest, stored[1] if stored else None, objects)

    def _in_lake(self, month: CleanMonth) -> dict[str, LakeObject] | None:
        """The objects of the month's version, by kind, where the store holds them as the lake."""
        if not self._is_lake:
            return None
        files = Versions(self._store, Path(), self._retry).find(month.service, month.month, month.version)
        return {kind: files.objects[f"{kind}.parquet"] for kind in KINDS} if files else None

    def _replace(
        self,
        held: _Held,
        month: CleanMonth,
        run: Run,
        started: dt.datetime,
        contents: Mapping[str, Content | LakeObject],
        count: _Count,
        is_damaged: bool,
    ) -> Manifest:
        done = 0
        for kind, content in contents.items():
            key, before, sent = (
                data_key(kind, month.service, month.month),
                held.objects[kind],
                count.above(done),
            )
            if isinstance(content, Content):
                self._bring(key, content, month.version, before, sent)
            else:
                self._copy(key, kind, content, month, before, again=is_damaged)
                sent(content.size)
            done += content.size
        manifest = Manifest.make(month, run, started, contents)
        key = manifest_key(month.service, month.month)
        self._put(key, manifest.content(), month.version, held.manifest_tag)
        return manifest

    def _copy(
        self, key: str, kind: str, known: LakeObject, month: CleanMonth, before: Stored | None, again: bool
    ) -> None:
        """Copy the version's object, with its metadata, unless the copy exists. `again`: in any case."""
        expected = marks(month.version, known.sha256).items()
        if not again and before and expected <= before.metadata.items() and before.size == known.size:
            log.info("%s is already up to date.", key)
            return
        source = f"{version_folder(month.service, month.month, month.version)}{kind}.parquet"
        self._store.copy(source, key, before.tag if before else None)

    def _bring(self, key: str, content: Content, version: str, before: Stored | None, sent: Sent) -> None:
        """Upload the object, unless an unfinished load has already uploaded it."""
        expected = marks(version, content.sha256).items()
        if before and expected <= before.metadata.items() and before.digest == self._store.digest(content):
            log.info("%s is already up to date.", key)
            sent(content.size)
        else:
            self._put(key, content, version, before.tag if before else None, sent)

    def _put(
        self, key: str, content: Content, version: str, tag: str | None, sent: Sent = lambda _: None
    ) -> None:
        self._store.put(key, content, marks(version, content.sha256), tag, sent)

    def _keep(self, manifest: Manifest) -> None:
        """Add the load to the ledger's history, where it is missing."""
        key = history_key(manifest.entry)
        if not self._store.head(key):
            self._put(key, manifest.content(), manifest.entry.version, None)


def _contents(files: MonthFiles) -> dict[str, Content]:
    """The month's files by kind, in the order they are written; raises DestinationError for a changed one."""
    contents = {}
    for kind in KINDS:
        path = files.folder / f"{kind}.parquet"
        contents[kind] = Content.of(path, PARQUET)
        known = files.objects.get(path.name)
        if known and known.sha256 != contents[kind].sha256:
            raise DestinationError(
                f"{path}: has changed since it was written (its SHA-256 differs); delete {files.folder} and"
                " run the month again."
            )
    check_counts(files, footer(files.trips_path).num_rows, footer(files.quarantine_path).num_rows)
    return contents


class _Count:
    """Turns bytes sent into the rows that a progress callback counts; never counts backwards."""

    def __init__(self, rows: int, progress: Progress | None) -> None:
        self.size = 1
        """Of all objects together, in bytes."""
        self._rows, self._progress = rows, progress
        self._most = 0

    def above(self, done: int) -> Sent:
        """Count an object's bytes on top of those of the objects before it."""

        def sent(size: int) -> None:
            self._most = max(self._most, done + size)
            if self._progress:
                self._progress(self._rows * min(self._most, self.size) // self.size, self._rows)

        return sent
