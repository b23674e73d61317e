"""Months of every era, from the source file to Parquet: what was put into a file is what is found."""

from collections import Counter
from pathlib import Path

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from nyc_taxi.local import samples
from nyc_taxi.local.samples import Expected
from nyc_taxi.local.samples.eras import data
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.schema import trip_columns
from nyc_taxi.schema.arrow import arrow_schema
from nyc_taxi.transform.read.csv import CsvReader
from nyc_taxi.transform.rules import ZONE_FLAG
from tests.support.builders import parquet_month, source_file

ROWS = 500
MALFORMED = 3

ERAS = [
    (service, entry["since"], ending)
    for kind, ending in (("csv", ".csv"), ("parquet", ".parquet"))
    for service in Service
    for entry in data("eras.yaml")[kind].get(service, ())  # none yet of a new service
]

QUARANTINED = ("unreadable", "outside_month", "dropoff_before_pickup", "exact_duplicate")
FLAGGED = (
    "null_block",
    "negative_total",
    "no_passengers",
    "many_passengers",
    "unknown_rate_code",
    "no_distance",
    "absurd_distance",
    "unknown_zone",
)


def month_of_era(folder: Path, service: Service, month: str, ending: str) -> tuple[MonthFiles, Expected]:
    path = folder / f"{service}_tripdata_{month}{ending}"
    malformed = 0 if ending == ".parquet" else MALFORMED
    expected = samples.write(service, Month.parse(month), path, rows=ROWS, malformed=malformed)
    return parquet_month(source_file(path, service, month), folder), expected


def verdicts(service: Service, expected: Expected) -> tuple[dict[str, int], dict[str, int]]:
    """How many rows each rule must quarantine, and how many trips it must flag."""
    quarantined = {name: getattr(expected, name) for name in QUARANTINED}
    flagged = {name: getattr(expected, name) for name in FLAGGED}
    flagged |= {"negative_fare": expected.negative_total, "reversal": 2 * expected.reversal_pairs}
    if service is Service.FHV:  # whose bases report little, so that less is held against a row
        flagged["exact_duplicate_fhv"] = quarantined.pop("exact_duplicate")
        quarantined.pop("dropoff_before_pickup")
    return +Counter(quarantined), +Counter(flagged)


@pytest.mark.parametrize(("service", "month", "ending"), ERAS)
def test_all_that_is_wrong_in_a_month_is_found_and_nothing_else(
    tmp_path: Path, service: Service, month: str, ending: str
) -> None:
    files, expected = month_of_era(tmp_path, service, month, ending)
    quarantined, flagged = verdicts(service, expected)
    trips = pq.read_table(files.trips_path)
    assert trips.schema.equals(arrow_schema(trip_columns(service)))
    if "pickup_longitude" in trips.schema.names and pc.count(trips["pickup_longitude"]).as_py():
        zones = pc.coalesce(trips["pickup_location_id"], trips["dropoff_location_id"])
        flagged[ZONE_FLAG] = pc.count(zones).as_py()
    assert files.unknown_columns == []
    assert files.quarantined == quarantined
    assert files.flagged == flagged
    assert files.rows_in == expected.rows == files.trips + sum(quarantined.values())
    counts = Counter(name for names in trips["flags"].to_pylist() for name in names)
    assert counts == flagged
    if service in (Service.YELLOW, Service.GREEN):
        stored = pc.equal(trips["store_and_fwd_flag"], "Y")
        assert pc.sum(stored).as_py() == expected.stored_and_forwarded
        at_zero = pc.equal(trips["pickup_longitude"], 0.0)
        assert (pc.sum(at_zero).as_py() or 0) == expected.zero_coordinates


@pytest.mark.parametrize("service", Service)
def test_months_of_all_eras_answer_one_query(tmp_path: Path, service: Service) -> None:
    eras = {month: ending for own, month, ending in ERAS if own is service}
    months = sorted(eras)[:: max(1, len(eras) // 5)]
    files = [month_of_era(tmp_path, service, month, eras[month])[0] for month in months]
    paths = [str(month.trips_path) for month in files]
    assert len({pq.read_schema(path).remove_metadata() for path in paths}) == 1
    query = (
        f"SELECT count(*), count(DISTINCT source_version), min(pickup_datetime) FROM read_parquet({paths})"
    )
    trips, versions, first = duckdb.sql(query).fetchall()[0]
    assert trips == sum(month.trips for month in files)
    assert versions == len(months)
    assert str(Month.of(first)) == months[0]


def test_generated_months_are_read_by_the_fast_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So are TLC's, whose eras they have."""

    def fail(self: CsvReader, _: bytes) -> None:
        raise AssertionError

    monkeypatch.setattr(CsvReader, "_parse_text", fail)
    for service, month, ending in ERAS:
        if ending == ".csv" and not (service is Service.FHVHV and month == "2021-01"):  # times with a Z
            path = tmp_path / f"{service}-{month}.csv"
            samples.write(service, Month.parse(month), path, rows=50, quirks=False)
            reader = CsvReader(source_file(path, service, month))
            assert sum(reader.parse(block).rows_in for block in reader.blocks()) == 50
