"""Geometry of the report's charts: numbers for its template, which draws and escapes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 360, 168
"""Units of SVG: about pixels on a phone, so that texts are legible there."""

LEFT, TOP, BOTTOM = 38, 8, 20


@dataclass(frozen=True)
class Bar:
    """A bar with what is said of it."""

    x: float
    y: float
    width: float
    height: float
    label: str
    """Below the axis; empty for most."""
    title: str


@dataclass(frozen=True)
class BarChart:
    """Bars side by side above an axis."""

    bars: list[Bar]
    ticks: list[tuple[float, str]]
    """Place and text of each line of the scale."""
    alt: str
    """What the chart shows, for those who do not see it."""


def bar_chart(values: Sequence[tuple[str, str, float]], alt: str) -> BarChart:
    """Bars of (label, title, value)."""
    highest = _round_up(max((value for *_, value in values), default=0) or 1)
    width, height = (WIDTH - LEFT) / max(len(values), 1), HEIGHT - TOP - BOTTOM
    bars = [
        Bar(
            round(LEFT + place * width + width * 0.1, 1),
            round(TOP + height * (1 - value / highest), 1),
            round(width * 0.8, 1),
            round(height * value / highest, 1),
            label,
            title,
        )
        for place, (label, title, value) in enumerate(values)
    ]
    ticks = [(round(TOP + height * (1 - part), 1), _short(highest * part)) for part in (0, 0.5, 1)]
    return BarChart(bars, ticks, alt)


def shades(values: Sequence[float]) -> list[int]:
    """Strength of the colour of each value in per cent: the root of its share, so that small ones show."""
    highest = max(values, default=0) or 1
    return [round(100 * math.sqrt(value / highest)) for value in values]


def _round_up(value: float) -> float:
    """The next number of one or two simple digits."""
    unit = 10.0 ** math.floor(math.log10(value))
    return next(unit * step for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if unit * step >= value * 0.999)


def _short(value: float) -> str:
    """Such as 1.5k and 2M."""
    for unit, suffix in ((1_000_000, "M"), (1000, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{suffix}"
    return f"{value:.3g}"
