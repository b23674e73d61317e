"""The quality report of a month: measures that indicate whether it can be trusted.

They are computed while the Parquet is written, at the cost of a few sums per batch. Counts, extremes and
days cover every trip; medians use every k-th row of the source, with k such that at most 200,000 rows are
sampled (for smaller months k is 1 and the median exact).
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nyc_taxi.model.references import CleanMonth
from nyc_taxi.schema import QUALITY, Column, service_columns
from nyc_taxi.schema.arrow import arrow_schema

MEDIAN_ROWS = 200_000
_MICROSECONDS_A_DAY = 86_400_000_000


class QualityReport:
    """Collects the measures of one month, batch by batch."""

    def __init__(self, clean: CleanMonth) -> None:
        self._clean = clean
        self._columns = service_columns(clean.service)
        self._step = max(1, -(-clean.rows_in // MEDIAN_ROWS))
        self._nulls: Counter[str] = Counter()
        self._sums: Counter[str] = Counter()
        self._extremes: dict[str, tuple[float, float]] = {}
        # preallocated: many small arrays kept among large temporary ones would fragment the heap, and memory
        # would grow with the month
        self._samples: dict[str, np.ndarray] = {}
        self._sampled: Counter[str] = Counter()
        self._days: Counter[int] = Counter()
        self._trips = 0

    def add(self, trips: pa.RecordBatch) -> None:
        """Add a batch of trips."""
        self._trips += len(trips)
        picked = pa.array(np.flatnonzero(trips["source_row"].to_numpy() % self._step == 0))
        days, counts = pa.array(_days(trips["pickup_datetime"])).value_counts().flatten()
        self._days.update(dict(zip(days.to_pylist(), counts.to_pylist(), strict=True)))
        for column in self._columns:
            values = trips[column.name]
            self._nulls[column.name] += values.null_count
            if _is_measure(column) and values.null_count < len(values):
                self._measure(column.name, values, picked)

    def table(self) -> pa.Table:
        """Return the report, in the schema QUALITY."""
        rows: list[tuple[str, str, float | None]] = [
            ("rows_in", "", self._clean.rows_in),
            ("trips", "", self._clean.trips),
            ("quarantined", "", self._clean.rows_quarantined),
        ]
        rows += [("quarantined", name, count) for name, count in self._clean.quarantined.items()]
        rows += [("flagged", name, count) for name, count in self._clean.flagged.items()]
        rows += [("unknown_column", name, None) for name in self._clean.unknown_columns]
        rows += [("derived_column", name, None) for name in self._clean.derived_columns]
        for column in self._columns:
            rows.append(("null_share", column.name, self._nulls[column.name] / max(self._trips, 1)))
            if column.name in self._extremes:
                low, high = self._extremes[column.name]
                sample = self._samples[column.name][: self._sampled[column.name]]
                median = float(np.median(sample)) if len(sample) else None
                figures = {"min": low, "median": median, "max": high, "sum": self._sums[column.name]}
                rows += [(measure, column.name, value) for measure, value in figures.items()]
        rows += [
            ("trips_on_day", str(np.datetime64(day, "D")), self._days[day]) for day in sorted(self._days)
        ]
        columns = list(zip(*rows, strict=True))
        return pa.table(
            [pa.array(part, field.type) for part, field in zip(columns, arrow_schema(QUALITY), strict=True)],
            arrow_schema(QUALITY),
        )

    def _measure(self, name: str, values: pa.Array, picked: pa.Array) -> None:
        low, high = (float(value.as_py()) for value in pc.min_max(values).values())
        before = self._extremes.get(name, (low, high))
        self._extremes[name] = (min(low, before[0]), max(high, before[1]))
        self._sums[name] += pc.sum(values).as_py()
        sample = values.take(picked).drop_null().to_numpy()
        if name not in self._samples:
            self._samples[name] = np.empty(self._clean.rows_in // self._step)
        first = self._sampled[name]
        self._samples[name][first : first + len(sample)] = sample
        self._sampled[name] += len(sample)


def _is_measure(column: Column) -> bool:
    """Return whether a column is a quantity; codes, flags, zones and times have no median."""
    return column.type in ("float64", "int32") or column.name == "passenger_count"


def _days(times: pa.Array) -> np.ndarray:
    days: np.ndarray = times.drop_null().cast(pa.int64()).to_numpy() // _MICROSECONDS_A_DAY
    return days
