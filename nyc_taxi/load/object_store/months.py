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
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from nyc_taxi.lake.object_store.store import Bucket, Content
from nyc_taxi.lake.versions import PARQUET, Versions
from nyc_taxi.load.contract import Lookup, Progress, refuse_sample
from nyc_taxi.load.migration import Migration
from nyc_taxi.load.object_store.contents import SentRows, contents_of
from nyc_taxi.load.object_store.delete import delete_month, leftover
from nyc_taxi.load.object_store.held import HeldMonth
from nyc_taxi.load.object_store.layout import (
    KINDS,
    MANIFESTS,
    data_key,
    history_folder,
    history_key,
    month_of,
)
from nyc_taxi.load.object_store.manifest import Manifest
from nyc_taxi.load.object_store.writer import MonthWriter
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import CleanMonth, LakeObject
from nyc_taxi.model.run import Run
from nyc_taxi.retry import RetryPolicy

if TYPE_CHECKING:
    from nyc_taxi.transform.refined import RefinedMonth

CONNECTIONS = 8
"""Requests at once when all manifests are read; both SDKs keep ten connections."""


class ObjectMonths:
    """The Destination protocol over any store."""

    def __init__(
        self, where: str, open_store: Callable[[], Bucket], retry: RetryPolicy, is_lake: bool = False
    ) -> None:
        """`where` is for messages; `open_store` is called when the store is first needed.

        `is_lake`: the store is the lake too, so a month is copied from its version there, not uploaded again.
        """
        self._where = where
        self._is_lake = is_lake
        self._open = open_store
        self._retry = retry

    @functools.cached_property
    def _store(self) -> Bucket:
        return self._open()

    def describe(self) -> str:
        """Where it is; names the embedded server or emulator if it is one."""
        return self._where

    def dataset(self, service: Service, month: Month) -> tuple[str, str]:
        """See Destination; the object that holds the trips."""
        scheme, _, path = self._store.uri(data_key("trips", service, month)).partition("://")
        bucket, _, key = path.partition("/")
        return f"{scheme}://{bucket}", key

    def read_object(self, key: str) -> bytes | None:
        """The content of an object (see `layout`); None if it does not exist."""
        stored = self._store.read(key)
        return stored[0] if stored else None

    def ledger_entry(self, service: Service, month: Month) -> LedgerEntry | None:
        """The manifest's row; None when the month was never loaded, or its last load did not finish."""
        return self._entry(service, month)

    def ledger_entries(
        self, months: Collection[tuple[Service, Month]] | None = None, *, deletions: bool = False
    ) -> list[LedgerEntry]:
        """The row of every month that is whole, or of those in `months`; reads the manifests of no others."""
        recorded = [each for each in self.recorded_months() if months is None or each in months]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            rows = pool.map(lambda each: self._entry(each[0], each[1], deletions), recorded)
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

    def find_damage(
        self, service: Service, month: Month, entry: LedgerEntry | None = None, *, thorough: bool = False
    ) -> str | None:
        """See Destination; a load that did not finish counts as damage."""
        if entry and not thorough:
            return None  # ledger_entry has compared the objects with their manifest
        held = HeldMonth.read(self._store, service, month)
        if held.manifest is None:
            return (
                None
                if held.manifest_tag is None
                else "has a manifest that this version of nyc_taxi cannot read"
            )
        if held.deletion:
            return leftover(held, service, month)
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
        writer = MonthWriter(self._store)
        count = SentRows(summary.rows_in, progress)

        def replace() -> LedgerEntry:
            held = HeldMonth.read(self._store, summary.service, summary.month)
            manifest = held.manifest
            refuse_sample(summary, manifest.entry if manifest and not held.deletion else None, self._where)
            is_damaged = damaged is not None and held.row == damaged
            if manifest is None or held.row is None or held.row.version != summary.version or is_damaged:
                contents = self._in_lake(summary) or contents_of(month.files())
                count.size = sum(each.size for each in contents.values())
                manifest = writer.replace(held, summary, run, started, contents, count, is_damaged)
            writer.keep(manifest)
            return manifest.entry

        return self._retry.restart(replace)

    def delete_month(self, service: Service, month: Month, run: Run) -> LedgerEntry | None:
        """See Destination and `nyc_taxi.load.object_store.delete`."""
        return self._retry.restart(lambda: delete_month(self._store, service, month, run))

    def migrate(self, *, dry_run: bool) -> list[Migration]:
        """See Destination; each month's Parquet has a schema of its own, so there is nothing to migrate."""
        return []

    def has_lookup(self, name: str) -> bool:
        """See Destination."""
        return self._store.head(f"{name}/{name}.parquet") is not None

    def replace_lookup(self, lookup: Lookup) -> None:
        """Make `<name>/<name>.parquet` equal to `lookup`, by one upload."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        sink = pa.BufferOutputStream()
        pq.write_table(lookup.rows, sink, compression="zstd")
        content = Content.of(sink.getvalue().to_pybytes(), PARQUET)
        writer = MonthWriter(self._store)
        key = f"{lookup.name}/{lookup.name}.parquet"
        self._retry.restart(
            lambda: writer.bring(key, content, content.sha256[:12], self._store.head(key), lambda _: None)
        )

    def _entry(self, service: Service, month: Month, deletions: bool = False) -> LedgerEntry | None:
        held = HeldMonth.read(self._store, service, month)
        row = held.row or (held.deletion if deletions else None)
        return row if row and self._store.head(history_key(row)) else None

    def _in_lake(self, month: CleanMonth) -> dict[str, LakeObject] | None:
        """The objects of the month's version, by kind, where the store holds them as the lake."""
        if not self._is_lake:
            return None
        files = Versions(self._store, Path(), self._retry).find(month.service, month.month, month.version)
        return {kind: files.objects[f"{kind}.parquet"] for kind in KINDS} if files else None
