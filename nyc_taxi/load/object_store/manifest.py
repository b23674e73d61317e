"""The manifest of a month: its current ledger row, and the objects that row speaks of."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from nyc_taxi.errors import TaxiError
from nyc_taxi.load.contract import LedgerEntry, Run
from nyc_taxi.load.object_store.layout import data_key
from nyc_taxi.load.object_store.store import Content, Stored
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles


@dataclass(frozen=True)
class Named:
    """An object as a manifest names it."""

    key: str
    """Below the prefix."""
    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Manifest:
    """What a load left: JSON with the fields of `LedgerEntry`, and `objects` by kind."""

    entry: LedgerEntry
    objects: dict[str, Named]

    @classmethod
    def make(
        cls, files: MonthFiles, run: Run, started: dt.datetime, contents: dict[str, Content]
    ) -> Manifest:
        """The manifest of a load that has just put everything else in place."""
        entry = LedgerEntry.of(files, run, started)
        objects = {
            kind: Named(data_key(kind, files.service, files.month), content.sha256, content.size)
            for kind, content in contents.items()
        }
        return cls(entry, objects)

    @classmethod
    def parse(cls, data: bytes) -> Manifest | None:
        """Read a manifest back; None when it is none that this version of the package understands."""
        try:
            plain = json.loads(data)
            values = {field.name: plain[field.name] for field in dataclasses.fields(LedgerEntry)}
            values["service"] = Service.parse(values["service"])
            values["month"] = Month.parse(values["month"])
            for name in ("started_at", "finished_at"):
                values[name] = dt.datetime.fromisoformat(values[name])
            objects = {
                kind: Named(named["key"], named["sha256"], named["size"])
                for kind, named in plain["objects"].items()
            }
            return cls(LedgerEntry(**values), objects)
        except (ValueError, KeyError, TypeError, AttributeError, TaxiError):
            return None

    def content(self) -> Content:
        """The manifest as the bytes of an object."""
        plain: dict[str, Any] = {
            name: value.isoformat() if isinstance(value, dt.datetime) else value
            for name, value in vars(self.entry).items()
        }
        objects = {kind: vars(named) for kind, named in self.objects.items()}
        plain |= {"month": str(self.entry.month), "objects": objects}
        return Content.of(json.dumps(plain, indent=2).encode() + b"\n", "application/json")

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
