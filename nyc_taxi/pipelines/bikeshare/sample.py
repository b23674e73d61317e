"""Generated stations, regions and trips, for `taxi bikeshare seed` and for tests.

The same day always gives the same bytes. The stations include edge cases: a name with a comma, a quote, a
line feed and non-ASCII letters, a missing name, a missing region. Some trips begin at an unknown station.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import random

NASTY = 'Plaza "La Raza", 24th St\nat Peña, 駅 🚲'

REGIONS: list[tuple[int, str]] = [(1, "North Shore"), (2, "Old Town"), (3, "Hillside, east of the river")]

STATIONS: list[tuple[int, str | None, int | None, int | None]] = [
    (1, NASTY, 2, 27),
    (2, None, 1, 15),
    (3, "Depot", None, 0),
    *((number, f"Street {number} at Avenue {number % 7 + 1}", number % 3 + 1, 15) for number in range(4, 25)),
]
"""Number, name, region and docks of each station."""

UNKNOWN = 99
"""Number of a station that occurs in trips only."""


def trips(day: dt.date, count: int = 200) -> bytes:
    """Return a day's trips as gzipped JSON lines, in the format of real ones."""
    chance = random.Random(day.isoformat())
    names = {number: name or f"Station {number}" for number, name, _, _ in STATIONS} | {
        UNKNOWN: "Pop-up dock"
    }
    lines = []
    for number in range(count):
        start, end = (chance.choice([*names, *range(4, 12)]) for _ in range(2))
        begin = dt.datetime.combine(day, dt.time(), dt.UTC) + dt.timedelta(seconds=chance.randrange(86_400))
        seconds = chance.randrange(60, 5_400)
        row = {
            "trip_id": f"{begin:%Y%m%d%H%M%S}{number:05d}",
            "duration_sec": str(seconds),
            "start_date": f"{begin:%Y-%m-%d %H:%M:%S} UTC",
            "start_station_name": names[start],
            "start_station_id": str(start),
            "end_date": f"{begin + dt.timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S} UTC",
            "end_station_name": names[end],
            "end_station_id": str(end),
        }
        if chance.random() < 0.8:
            row["member_gender"] = chance.choice(["Female", "Male", "Other"])
        lines.append(json.dumps(row, ensure_ascii=False))
    return gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)


def regions_csv() -> bytes:
    """Return the content of regions.csv in the bucket."""
    return "".join(f'{number},"{name}"\n' for number, name in REGIONS).encode()
