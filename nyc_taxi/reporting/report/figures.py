"""What the report shows of a month, aggregated by DuckDB in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import TaxiError
from nyc_taxi.model.months import Month
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.schema.sql import literal

_MEMORY_LIMIT = "256MB"
_NOT_REVERSED = "reversal_source_row IS NULL"

Histogram = list[tuple[int, int]]
"""Lower edge of each class, without gaps, and the trips in it; the last class has no upper edge."""


@dataclass(frozen=True)
class MonthFigures:
    """Trips of a month by time, place, distance and price; empty where the month lacks the columns."""

    hours: list[tuple[int, int, int, int]]
    """Day of the month, day of the week (1 is Monday), hour, trips."""
    pickups: dict[int, int]
    """Trips by zone."""
    dropoffs: dict[int, int]
    distances: Histogram
    """Miles."""
    fares: Histogram
    """Dollars."""
    tips: Histogram
    """Per cent of the fare, of trips paid by card."""


def aggregate(files: MonthFiles) -> MonthFigures:
    """Aggregate the trips; raises TaxiError if their file is damaged."""
    try:
        columns = set(pq.read_schema(files.trips_path).names)
        with duckdb.connect(config={"memory_limit": _MEMORY_LIMIT}) as connection:
            return _aggregate(_Trips(files, connection), columns, files.month)
    except (OSError, pa.ArrowInvalid, duckdb.Error) as error:
        raise TaxiError(f"{files.trips_path}: is damaged ({error}); `taxi run` makes it anew.") from error


def _aggregate(trips: _Trips, columns: set[str], month: Month) -> MonthFigures:
    fare = next((name for name in ("fare_amount", "base_passenger_fare") if name in columns), None)
    paid_by_card = "payment_type = 1" if "payment_type" in columns else "true"
    time = "pickup_datetime"
    return MonthFigures(
        hours=trips.count(
            f"day({time})",
            f"isodow({time})",
            f"hour({time})",
            where=f"{time} >= '{month.start}' AND {time} < '{month.end}'",  # whatever the rules let pass
        ),
        pickups=dict(trips.count("pickup_location_id", where="pickup_location_id IS NOT NULL")),
        dropoffs=dict(trips.count("dropoff_location_id", where="dropoff_location_id IS NOT NULL")),
        distances=trips.histogram("trip_distance", 1, 15, "trip_distance > 0")
        if "trip_distance" in columns
        else [],
        fares=trips.histogram(fare, 5, 75, f"{fare} > 0 AND {_NOT_REVERSED}") if fare else [],
        tips=(
            trips.histogram(
                f"100 * tip_amount / {fare}", 5, 50, f"{paid_by_card} AND {fare} > 0 AND tip_amount >= 0"
            )
            if fare and "tip_amount" in columns
            else []
        ),
    )


class _Trips:
    """The trips of a month, to be counted."""

    def __init__(self, files: MonthFiles, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._source = f"read_parquet({literal(str(files.trips_path))})"

    def count(self, *groups: str, where: str = "true") -> list[Any]:
        """Rows of the groups' values and the trips that have them."""
        counts = f"SELECT {', '.join(groups)}, count(*) FROM {self._source} WHERE {where}"
        return self._connection.execute(f"{counts} GROUP BY ALL ORDER BY ALL").fetchall()

    def histogram(self, value: str, width: int, last: int, where: str) -> Histogram:
        """Classes of equal width from 0 on; `last` is the lower edge of the last one."""
        edge = f"(least(floor({value} / {width}) * {width}, {last}))::INTEGER"
        counts = dict(self.count(edge, where=f"{where} AND {value} IS NOT NULL"))
        return [(low, counts.get(low, 0)) for low in range(0, last + 1, width)] if counts else []


def top(counts: dict[int, int], number: int) -> Iterable[tuple[int, int]]:
    """The keys with the greatest counts."""
    return sorted(counts.items(), key=lambda item: -item[1])[:number]
