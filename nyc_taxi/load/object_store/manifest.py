"""The manifest of a month: its current ledger row, and the objects that row speaks of."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping

from pydantic.dataclasses import dataclass

from nyc_taxi.lake.object_store.store import Content, Stored
from nyc_taxi.load.contract import new_entry
from nyc_taxi.load.object_store.layout import data_key
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.record import CONFIG, Record
from nyc_taxi.model.references import CleanMonth, LakeObject
from nyc_taxi.model.run import Run


@dataclass(frozen=True, config=CONFIG)
class Named:
    """An object as a manifest names it."""

    key: str
    """Below the prefix."""
    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True, config=CONFIG)
class Manifest(Record):
    """What a load left: JSON with the fields of `LedgerEntry`, and `objects` by kind."""

    entry: LedgerEntry
    objects: dict[str, Named]

    @classmethod
    def make(
        cls, month: CleanMonth, run: Run, started: dt.datetime, contents: Mapping[str, Content | LakeObject]
    ) -> Manifest:
        """The manifest of a load that has just put everything else in place."""
        objects = {
            kind: Named(data_key(kind, month.service, month.month), content.sha256, content.size)
            for kind, content in contents.items()
        }
        return cls(new_entry(month, run, started), objects)

    @classmethod
    def parse(cls, data: bytes) -> Manifest | None:
        """Read a manifest back; None when this version of the package does not understand it."""
        try:
            plain = json.loads(data)
            return cls.from_dict({"objects": plain.pop("objects"), "entry": plain})
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def content(self) -> Content:
        """The manifest as the bytes of an object."""
        plain = self.to_dict()
        flat = {**plain["entry"], "objects": plain["objects"]}
        return Content.of(json.dumps(flat, indent=2).encode() + b"\n", "application/json")

    def describes(self, kind: str, stored: Stored | None) -> bool:
        """Whether an object is the one that the manifest speaks of."""
        named = self.objects.get(kind)
        return (
            named is not None
            and stored is not None
            and stored.size == named.size
            and marks(self.entry.version, named.sha256).items() <= stored.metadata.items()
        )


def marks(version: str, sha256: str) -> dict[str, str]:
    """The custom metadata of an object: what it is, without reading it."""
    return {"version": version, "sha256": sha256}
