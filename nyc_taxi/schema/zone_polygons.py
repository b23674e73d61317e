"""The shapes of TLC's taxi zones: to find the zone of a coordinate, and to draw maps.

`taxi_zones.topojson.gz` is a simplified copy of TLC's "Taxi Zone Shapefile", which New York City publishes as
open data without restrictions on its use. `make zone-polygons` makes it. Borders between zones are within
10 cm of the original, shores within 8 m. As there, zone 56 includes 57, and zone 103 includes 104 and 105.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from itertools import chain

import numpy as np


@dataclass(frozen=True)
class ZonePolygons:
    """Lines between the points where three zones meet, and how they enclose the zones."""

    arcs: list[np.ndarray]
    """Longitude and latitude (NAD 83, within a metre of WGS 84) of the points of each line."""
    zones: dict[int, list[list[int]]]
    """The rings of each zone, holes included, as indices of arcs; `~index` is an arc from end to start.

    A zone is to the left of its rings.
    """

    def ring(self, indices: list[int]) -> np.ndarray:
        """The points of a ring; the first one is also the last."""
        parts = [self.arcs[index] if index >= 0 else self.arcs[~index][::-1] for index in indices]
        return np.concatenate([*(part[:-1] for part in parts), parts[-1][-1:]])


@functools.cache
def polygons() -> ZonePolygons:
    """The polygons that ship with the package."""
    topology = json.loads(gzip.decompress(_content()))
    scale, origin = (np.array(topology["transform"][name]) for name in ("scale", "translate"))
    arcs = [np.cumsum(deltas, axis=0) * scale + origin for deltas in topology["arcs"]]
    geometries = topology["objects"]["zones"]["geometries"]
    return ZonePolygons(arcs, {each["id"]: [*chain(*each["arcs"])] for each in geometries})


@functools.cache
def fingerprint() -> str:
    """Changes when the polygons do."""
    return hashlib.sha256(_content()).hexdigest()


def _content() -> bytes:
    return resources.files(__package__).joinpath("taxi_zones.topojson.gz").read_bytes()
