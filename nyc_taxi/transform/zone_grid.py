"""The zone of a coordinate, with numpy alone.

The city is cut into cells. Most of them lie within one zone; in the others the zone follows from that of the
cell's centre and the borders between the centre and the point. The result is the same as that of an exact
test of every polygon.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from nyc_taxi.schema.zone_polygons import ZonePolygons, polygons

CELLS = 800
"""Cells from west to east and from south to north: about 60 by 60 metres each."""


@functools.cache
def zone_grid() -> ZoneGrid:
    """The grid of TLC's zones."""
    return ZoneGrid.of(polygons())


@dataclass(frozen=True)
class _Borders:
    """Straight borders, in cells; to cross one changes the number of the zone."""

    west: np.ndarray
    east: np.ndarray
    slope: np.ndarray
    start: np.ndarray
    """How far north the line through the border is at the western end of the grid."""
    middle: np.ndarray
    """How far east the border crosses the line from west to east through its cell's centre; NaN: nowhere."""
    eastwards: np.ndarray
    """What is added to the zone's number on the way east across the border."""
    northwards: np.ndarray


@dataclass(frozen=True)
class ZoneGrid:
    """Zones by cell, and the borders in each cell."""

    origin: np.ndarray
    scale: np.ndarray
    """Cells per degree."""
    centres: np.ndarray
    """Zone of the centre of each cell, 0 for none; row by row from the south."""
    first: np.ndarray
    """Index of the first border of each cell; the borders of a cell are adjacent."""
    borders: _Borders

    @classmethod
    def of(cls, shapes: ZonePolygons) -> ZoneGrid:
        """Make the grid of polygons that neither overlap nor leave gaps."""
        corners = np.concatenate(shapes.arcs)
        west_south, east_north = corners.min(axis=0), corners.max(axis=0)
        scale = (CELLS - 2) / (east_north - west_south)
        origin = west_south - 1 / scale  # nothing lies in the first cell
        arcs = [(arc - origin) * scale for arc in shapes.arcs]
        tails = np.concatenate([arc[:-1] for arc in arcs])
        steps = np.concatenate([np.diff(arc, axis=0) for arc in arcs])
        changes = np.repeat(_left_minus_right(shapes), [len(arc) - 1 for arc in arcs])
        eastwards, northwards = -changes * np.sign(steps[:, 1]), changes * np.sign(steps[:, 0])
        centres = _centres(tails, steps, eastwards)
        cells, pieces = _cells_of_pieces(tails, steps)
        (x, y), (dx, dy) = tails[pieces].T, steps[pieces].T
        middle = cells // CELLS + 0.5
        with np.errstate(divide="ignore", invalid="ignore"):
            crosses = (np.minimum(y, y + dy) <= middle) & (middle < np.maximum(y, y + dy))
            middle = np.where(crosses, x + (middle - y) * dx / dy, np.nan)
            slope = np.where(dx == 0, 0, dy / dx)  # no way north crosses a border due north
        west, east, start = np.minimum(x, x + dx), np.maximum(x, x + dx), y - x * slope
        change = (values[pieces].astype(np.int16) for values in (eastwards, northwards))
        borders = _Borders(west, east, slope, start, middle, *change)
        first = np.searchsorted(cells, np.arange(CELLS**2 + 1)).astype(np.int32)
        return cls(origin, scale, centres, first, borders)

    def find(self, longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
        """The zone of each point as int16; 0 for NaN and for points in no zone."""
        x = (longitude - self.origin[0]) * self.scale[0]
        y = (latitude - self.origin[1]) * self.scale[1]
        inside = (x >= 0) & (x < CELLS) & (y >= 0) & (y < CELLS)
        x, y = np.where(inside, x, 0), np.where(inside, y, 0)
        cells = y.astype(np.int32) * CELLS + x.astype(np.int32)
        zones: np.ndarray = self.centres[cells]
        counts = self.first[cells + 1] - self.first[cells]
        near = np.flatnonzero(counts)
        x, y, cells, counts = x[near], y[near], cells[near], counts[near]
        changes = np.zeros(len(near), np.int16)
        nth = 0
        left = np.arange(len(near))
        while len(left):
            changes[left] += self._change(self.first[cells[left]] + nth, x[left], y[left])
            nth += 1
            left = left[counts[left] > nth]
        zones[near] += changes
        return zones

    def _change(self, border: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """What one border each adds on the way from the cell's centre east or west, then north or south."""
        of = self.borders
        middle = of.middle[border]
        passed = (middle <= x).astype(np.int16) - (middle <= np.floor(x) + 0.5)
        height = of.start[border] + of.slope[border] * x
        crossed = (height <= y).astype(np.int16) - (height <= np.floor(y) + 0.5)
        crossed *= (of.west[border] <= x) & (x < of.east[border])
        change: np.ndarray = passed * of.eastwards[border] + crossed * of.northwards[border]
        return change


def _left_minus_right(shapes: ZonePolygons) -> np.ndarray:
    """For each arc, the number of the zone to its left less that of the zone to its right."""
    difference = np.zeros(len(shapes.arcs))
    for zone, rings in shapes.zones.items():
        for index in (index for ring in rings for index in ring):
            difference[max(index, ~index)] += zone if index >= 0 else -zone
    return difference


def _centres(tails: np.ndarray, steps: np.ndarray, eastwards: np.ndarray) -> np.ndarray:
    """The zone of the centre of each cell: the sum of the changes on the way east from outside the city."""
    (x, y), (dx, dy) = tails.T, steps.T
    rows_before = np.ceil(np.minimum(y, y + dy) - 0.5).astype(int)
    rows = np.ceil(np.maximum(y, y + dy) - 0.5).astype(int) - rows_before
    piece = np.repeat(np.arange(len(x)), rows)
    row = np.arange(len(piece)) - np.repeat(np.cumsum(rows) - rows - rows_before, rows)
    crossing = x[piece] + (row + 0.5 - y[piece]) * dx[piece] / dy[piece]
    zones = np.zeros((CELLS, CELLS), np.int16)
    np.add.at(zones, (row, np.ceil(crossing - 0.5).astype(int)), eastwards[piece].astype(np.int16))
    return np.cumsum(zones, axis=1, dtype=np.int16).ravel()


def _cells_of_pieces(tails: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every cell that a border touches, with the border's index; ordered by cell."""
    parts = (
        np.floor(np.abs(steps).max(axis=1) * 2).astype(int) + 1
    )  # a part touches two rows and columns at most
    border = np.repeat(np.arange(len(tails)), parts)
    nth = np.arange(len(border)) - np.repeat(np.cumsum(parts) - parts, parts)
    ends = (
        np.floor(tails[border] + steps[border] * ((nth + end) / parts[border])[:, None]).astype(int)
        for end in (0, 1)
    )
    (x0, y0), (x1, y1) = (corner.T for corner in ends)
    cells = np.concatenate([y * CELLS + x for x in (x0, x1) for y in (y0, y1)])
    pairs = np.unique(cells * len(tails) + np.tile(border, 4))
    return pairs // len(tails), pairs % len(tails)
