"""One month deleted from a store: its manifest first says so, then its objects go.

A killed deletion leaves objects that the manifest no longer describes; deleting the month again removes them.
A load that begins meanwhile is not harmed: only objects that were read before are removed.
"""

from __future__ import annotations

import contextlib

from nyc_taxi.errors import PreconditionFailed
from nyc_taxi.lake.object_store.store import Store
from nyc_taxi.load.contract import deletion
from nyc_taxi.load.object_store.held import HeldMonth
from nyc_taxi.load.object_store.layout import KINDS, data_key, manifest_key
from nyc_taxi.load.object_store.manifest import Manifest
from nyc_taxi.load.object_store.writer import MonthWriter
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run


def delete_month(store: Store, service: Service, month: Month, run: Run) -> LedgerEntry | None:
    """Delete the month and record that; None if the store does not hold it.

    Raises PreconditionFailed when another run writes the month.
    """
    held, writer = HeldMonth.read(store, service, month), MonthWriter(store)
    manifest = held.manifest
    if manifest is None or (held.deletion and not any(held.objects.values())):
        return None
    if held.deletion is None:
        manifest = Manifest(deletion(manifest.entry, run), {})
        key, version = manifest_key(service, month), manifest.entry.version
        writer.put(key, manifest.content(), version, held.manifest_tag)
    writer.keep(manifest)
    for kind in reversed(KINDS):  # trips, which most readers read, first
        stored = held.objects[kind]
        with contextlib.suppress(PreconditionFailed):  # a load that began meanwhile has replaced it
            if stored:
                store.delete(data_key(kind, service, month), stored.tag)
    return manifest.entry


def leftover(held: HeldMonth, service: Service, month: Month) -> str | None:
    """What a deletion that was killed has left."""
    for kind, stored in held.objects.items():
        if stored:
            return f"holds {data_key(kind, service, month)}, though it was deleted: delete it again"
    return None
