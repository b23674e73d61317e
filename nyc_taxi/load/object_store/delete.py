"""One month deleted from a store: its manifest first says so, then its objects go.

A killed deletion leaves objects that the manifest no longer describes; deleting the month again removes them.

A load that begins meanwhile wins: it writes all objects again, and the deletion stops once the manifest is
another. GCS gives the new objects other generations, which the deletion does not remove. S3 gives the same
bytes the same ETag, so the load also reads the month again after its manifest, and starts over if an object
is gone. If S3 serves the deletion's last request even later, the month counts as not recorded, and the next
run loads it.
"""

from __future__ import annotations

import contextlib

from nyc_taxi.errors import PreconditionFailed
from nyc_taxi.lake.object_store.store import Bucket
from nyc_taxi.load.contract import deletion
from nyc_taxi.load.object_store.held import HeldMonth
from nyc_taxi.load.object_store.layout import KINDS, data_key, manifest_key
from nyc_taxi.load.object_store.manifest import Manifest
from nyc_taxi.load.object_store.writer import MonthWriter
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run


def delete_month(store: Bucket, service: Service, month: Month, run: Run) -> LedgerEntry | None:
    """Delete the month and record that; None if the store does not hold it.

    Raises PreconditionFailed when another run writes the month.
    """
    held, writer = HeldMonth.read(store, service, month), MonthWriter(store)
    manifest, tag = held.manifest, held.manifest_tag
    if manifest is None or (held.deletion and not any(held.objects.values())):
        return None
    if held.deletion is None:
        manifest = Manifest(deletion(manifest.entry, run), {})
        key, version = manifest_key(service, month), manifest.entry.version
        tag = writer.put(key, manifest.content(), version, held.manifest_tag).tag
    writer.keep(manifest)
    for kind in reversed(KINDS):  # trips, which most readers read, first
        stored = held.objects[kind]
        if stored is None:
            continue
        current = store.head(manifest_key(service, month))
        if current is None or current.tag != tag:
            break  # a load has finished meanwhile
        with contextlib.suppress(PreconditionFailed):  # a load that began meanwhile has replaced it
            store.delete(data_key(kind, service, month), stored.tag)
    return manifest.entry


def leftover(held: HeldMonth, service: Service, month: Month) -> str | None:
    """What a deletion that was killed has left."""
    for kind, stored in held.objects.items():
        if stored:
            return f"holds {data_key(kind, service, month)}, though it was deleted: delete it again"
    return None
