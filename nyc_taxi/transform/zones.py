"""Zones of trips whose file has coordinates instead: those of 2009 to June 2016."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from nyc_taxi.model.references import SourceFile
from nyc_taxi.schema import has_coordinates
from nyc_taxi.transform.read import Chunk, Reader
from nyc_taxi.transform.zone_grid import zone_grid

ENDS = ("pickup", "dropoff")


def assign_zones(reader: Reader, source: SourceFile) -> Reader:
    """The same reader, or one that adds zones where the month's file has coordinates and no zones."""
    absent = set(reader.mapping.absent)
    ends = [
        end
        for end in ENDS
        if has_coordinates(source.service, source.month)
        and f"{end}_location_id" in absent
        and absent.isdisjoint({f"{end}_longitude", f"{end}_latitude"})
    ]
    if not ends:
        return reader
    zone_grid()  # made once, before threads use it
    return _ZoneReader(reader, ends)


def assigned_columns(reader: Reader) -> tuple[str, ...]:
    """The columns of zones that the reader adds to its file."""
    return reader.assigned if isinstance(reader, _ZoneReader) else ()


class _ZoneReader:
    """A reader whose chunks have the zones of their coordinates."""

    def __init__(self, reader: Reader, ends: list[str]) -> None:
        self._reader, self._ends = reader, ends
        self.assigned = tuple(f"{end}_location_id" for end in ends)
        absent = tuple(name for name in reader.mapping.absent if name not in self.assigned)
        self.mapping = replace(reader.mapping, absent=absent)
        self.schema = reader.schema

    def blocks(self) -> Iterator[Any]:
        return self._reader.blocks()

    def parse(self, block: Any) -> Chunk:
        chunk = self._reader.parse(block)
        batch = chunk.batch
        for end, name in zip(self._ends, self.assigned, strict=True):
            point = (
                batch[f"{end}_{axis}"].to_numpy(zero_copy_only=False) for axis in ("longitude", "latitude")
            )
            zones = zone_grid().find(*point)
            place = batch.schema.get_field_index(name)
            batch = batch.set_column(place, batch.schema.field(place), pa.array(zones, mask=zones == 0))
        return replace(chunk, batch=batch)
