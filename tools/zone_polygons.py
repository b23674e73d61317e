"""Make nyc_taxi/schema/taxi_zones.topojson.gz: TLC's taxi zones, simplified without gaps or overlaps.

    python -m tools.zone_polygons taxi_zones.shp

The shapefile is TLC's "Taxi Zone Shapefile" of 2015, in State Plane feet; New York City publishes it as open
data without restrictions on its use. Borders between zones keep nearly every bend, because many trips begin
beside them; shores, where none does, keep few. Needs the development environment (shapely, pyproj, pyshp).
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pyproj
import shapefile
import shapely
from shapely.geometry import shape

SCALE = 1e-7
"""Degrees: coordinates are multiples of it, about 1 cm."""

BORDER, SHORE = 8, 800
"""How far simplified lines may be from the original, in units of SCALE: about 8 cm, and 8 m."""

TARGET = Path(__file__).parents[1] / "nyc_taxi" / "schema" / "taxi_zones.topojson.gz"


def read_zones(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """TLC's polygons in degrees, and the number of the zone of each (56 and 103 consist of several)."""
    to_degrees = pyproj.Transformer.from_crs(2263, 4326, always_xy=True).transform
    with shapefile.Reader(path) as reader:
        polygons = np.array([shape(item.__geo_interface__) for item in reader.shapes()])
        numbers = np.array([record["LocationID"] for record in reader.records()])
    return shapely.transform(polygons, to_degrees, interleaved=False), numbers


def locate(polygons: np.ndarray, numbers: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The zone of each point (longitude, latitude), by an exact test; 0 outside of all."""
    zones = np.zeros(len(points), np.int64)
    point, polygon = shapely.STRtree(polygons).query(shapely.points(points), predicate="within")
    zones[point] = numbers[polygon]
    return zones


def simplify(polygons: np.ndarray, numbers: np.ndarray) -> dict[int, list[list[np.ndarray]]]:
    """The polygons of each zone as rings, in units of SCALE, with common vertices along common borders."""
    scaled = shapely.transform(polygons, lambda degrees: degrees / SCALE)
    rounded = shapely.set_precision(scaled, 1)
    borders = Counter(edge for zone in rounded for ring in chain(*_polygons(zone)) for edge in _edges(ring))
    lines = shapely.get_parts(shapely.line_merge(_node(shapely.boundary(rounded))))
    is_shore = [borders[next(_edges(shapely.get_coordinates(line)))] == 1 for line in lines]
    simple = shapely.simplify(lines, np.where(is_shore, SHORE, BORDER), preserve_topology=False)
    faces = shapely.get_parts(shapely.polygonize([_node(simple)]))
    zones = locate(scaled, numbers, shapely.get_coordinates(shapely.point_on_surface(faces)))
    return {
        int(zone): _polygons(shapely.union_all(faces[zones == zone], grid_size=1))
        for zone in np.unique(zones)
        if zone
    }


def topology(zones: dict[int, list[list[np.ndarray]]]) -> dict[str, object]:
    """The rings as TopoJSON: lines between the points where three zones meet, and the lines of each ring."""
    ends: dict[tuple[int, int], set[frozenset]] = {}
    for ring in chain(*chain(*zones.values())):
        for edge in _edges(ring):
            for point in edge:
                ends.setdefault(point, set()).add(edge)
    nodes = {point for point, edges in ends.items() if len(edges) > 2}
    arcs: dict[tuple, int] = {}
    geometries = []
    for zone, polygons in zones.items():
        indices = [[[_index(arc, arcs) for arc in _cut(ring, nodes)] for ring in rings] for rings in polygons]
        geometries.append({"type": "MultiPolygon", "id": zone, "arcs": indices})
    origin = np.min([point for arc in arcs for point in arc], axis=0)
    deltas = [np.diff(np.array(arc) - origin, axis=0, prepend=[[0, 0]]).tolist() for arc in arcs]
    return {
        "type": "Topology",
        "transform": {
            "scale": [SCALE, SCALE],
            "translate": [round(value * SCALE, 7) for value in origin.tolist()],
        },
        "objects": {"zones": {"type": "GeometryCollection", "geometries": geometries}},
        "arcs": deltas,
    }


def _node(lines: np.ndarray) -> shapely.Geometry:
    return shapely.unary_union(lines, grid_size=1)


def _polygons(zone: shapely.Geometry) -> list[list[np.ndarray]]:
    """For each polygon its outer ring, counter-clockwise, then its holes: the zone is to the left of each."""
    parts = shapely.orient_polygons(shapely.get_parts(zone))
    return [
        [shapely.get_coordinates(ring).astype(np.int64) for ring in shapely.get_rings(part)] for part in parts
    ]


def _edges(ring: np.ndarray) -> Iterator[frozenset]:
    points = [tuple(point) for point in ring.astype(np.int64).tolist()]
    return map(frozenset, pairwise(points))


def _cut(ring: np.ndarray, nodes: set[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """The ring in pieces that end at nodes; whole, from its least point, where it has none."""
    points = [tuple(point) for point in ring[:-1].tolist()]
    start = next((place for place, point in enumerate(points) if point in nodes), points.index(min(points)))
    points = [*points[start:], *points[: start + 1]]
    places = [place for place, point in enumerate(points) if point in nodes or place in (0, len(points) - 1)]
    for first, last in pairwise(places):
        yield points[first : last + 1]


def _index(arc: list[tuple[int, int]], arcs: dict[tuple, int]) -> int:
    """The arc's place among all; that of its reverse as a complement, as TopoJSON has it."""
    reverse = arcs.get(tuple(arc[::-1]))
    return ~reverse if reverse is not None else arcs.setdefault(tuple(arc), len(arcs))


def main() -> None:
    """Write the file."""
    polygons, numbers = read_zones(Path(sys.argv[1]))
    text = json.dumps(topology(simplify(polygons, numbers)), separators=(",", ":"))
    TARGET.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
