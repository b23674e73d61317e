"""What a store holds of a month."""

from __future__ import annotations

from dataclasses import dataclass

from nyc_taxi.lake.object_store.store import Store, Stored
from nyc_taxi.load.object_store.layout import KINDS, data_key, manifest_key
from nyc_taxi.load.object_store.manifest import Manifest
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service


@dataclass(frozen=True)
class HeldMonth:
    """The objects of a month in a store, and the manifest that describes them."""

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

    @classmethod
    def read(cls, store: Store, service: Service, month: Month) -> HeldMonth:
        """Read the manifest, then the metadata of the objects.

        The manifest first: a writer that replaces one of the objects read below has not replaced the manifest
        yet, and one of the two writers then fails.
        """
        stored = store.read(manifest_key(service, month))
        manifest = Manifest.parse(stored[0]) if stored else None
        objects = {kind: store.head(data_key(kind, service, month)) for kind in KINDS}
        return cls(manifest, stored[1] if stored else None, objects)
