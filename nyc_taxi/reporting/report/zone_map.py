"""Zones as paths of SVG, coarse enough for a page."""

from __future__ import annotations

import functools

import numpy as np

from nyc_taxi.schema.zone_polygons import polygons

WIDTH = 1000
"""Width of the map in units of SVG: about 50 metres each."""

_MIDDLE = np.radians(40.7)
"""Latitude at which a degree of longitude is as wide on the map as in New York."""


@functools.cache
def zone_paths() -> tuple[int, dict[int, str]]:
    """The height of the map, and the path of each zone as the attribute `d`."""
    shapes = polygons()
    degrees = np.concatenate(shapes.arcs)
    west, south = degrees.min(axis=0)
    east, north = degrees.max(axis=0)
    scale = WIDTH / (east - west)
    across = np.array([scale, -scale / np.cos(_MIDDLE)])
    arcs = [_thinned(np.rint((arc - (west, north)) * across).astype(int)) for arc in shapes.arcs]
    coarse = type(shapes)(arcs, shapes.zones)
    paths = {
        zone: "".join(_path(coarse.ring(ring)) for ring in rings) for zone, rings in shapes.zones.items()
    }
    return int(np.ceil((north - south) * -across[1])), paths


def _thinned(arc: np.ndarray) -> np.ndarray:
    """The arc without points that are next to the one before; its ends stay."""
    kept = [0]
    for place in range(1, len(arc) - 1):
        if np.abs(arc[place] - arc[kept[-1]]).max() > 1:
            kept.append(place)
    return arc[[*kept, len(arc) - 1]]


def _path(points: np.ndarray) -> str:
    """A closed path of relative lines; empty for what is too small to be seen."""
    if np.ptp(points, axis=0).max() < 2:
        return ""
    steps = " ".join(f"{x},{y}" for x, y in np.diff(points[:-1], axis=0).tolist())
    return f"M{points[0][0]},{points[0][1]}l{steps}z"
