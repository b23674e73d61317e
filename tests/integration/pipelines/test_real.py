"""Months as TLC published them; the counts were made by hand, with other programs."""

from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import NotTripData
from nyc_taxi.model.months import Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.schema import trip_columns
from nyc_taxi.schema.arrow import arrow_schema
from tests.support.builders import cleaned, parquet_month, source_file

pytestmark = pytest.mark.real


def month(path: Path, folder: Path) -> MonthFiles:
    service, name = path.name.split("_tripdata_")
    return parquet_month(source_file(path, Service(service), name[:7]), folder, threads=2)


def mirrored(real_data: Path, name: str) -> Path:
    return real_data / "nyc-tlc-data" / "green" / f"green_tripdata_{name}.csv.gz"


@pytest.mark.parametrize(
    ("name", "rows_in", "quarantined", "flagged"),
    [
        (
            "2020-03",
            223_406,
            {"outside_month": 22, "dropoff_before_pickup": 2},
            {
                "minute_is_month": 10,
                "day_long": 513,
                "null_block": 47_118,
                "reversal": 2 * 672,
                "no_passengers": 294,
                "many_passengers": 10,
                "no_distance": 7894,
                "absurd_distance": 12,
                "negative_fare": 683,
                "negative_total": 683,
                "unknown_rate_code": 1,
                "unknown_zone": 1742,
            },
        ),
        (
            "2020-04",
            35_612,
            {"outside_month": 6},
            {
                "day_long": 64,
                "null_block": 11_110,
                "reversal": 2 * 120,
                "no_passengers": 132,
                "many_passengers": 6,
                "no_distance": 1749,
                "absurd_distance": 10,
                "negative_fare": 122,
                "negative_total": 122,
                "unknown_zone": 378,
            },
        ),
    ],
)
def test_counts_of_green_2020(
    real_data: Path,
    tmp_path: Path,
    name: str,
    rows_in: int,
    quarantined: dict[str, int],
    flagged: dict[str, int],
) -> None:
    files = month(mirrored(real_data, name), tmp_path)
    assert (files.rows_in, files.quarantined, files.flagged) == (rows_in, quarantined, flagged)
    assert files.trips == rows_in - sum(quarantined.values())


def test_the_null_block_is_kept_whole(real_data: Path, tmp_path: Path) -> None:
    """Trips without details are trips; eleven of them end before they begin."""
    path = mirrored(real_data, "2020-03")
    frame = pd.read_csv(path, low_memory=False, parse_dates=["lpep_pickup_datetime", "lpep_dropoff_datetime"])
    block = frame["VendorID"].isna()
    backwards = frame["lpep_dropoff_datetime"] < frame["lpep_pickup_datetime"]
    assert (block.sum(), (block & backwards).sum()) == (47_119, 11)
    files = month(path, tmp_path)
    trips = pq.read_table(files.trips_path, columns=["source_row", "vendor_id", "total_amount"]).to_pandas()
    assert trips["vendor_id"].isna().sum() == files.flagged["null_block"] == 47_119 - 1
    kept = frame.loc[trips["source_row"] - 1, "total_amount"]
    assert (kept.to_numpy() == trips["total_amount"].to_numpy()).all()


def test_every_whole_month_balances_and_has_one_schema(real_data: Path, tmp_path: Path) -> None:
    paths = [*real_data.glob("nyc-tlc-data/green/*"), *real_data.glob("trip-data/*")]
    assert len(paths) >= 13
    months = [month(path, tmp_path / path.name) for path in sorted(paths)]
    for files in months:
        assert files.rows_in == files.trips + files.rows_quarantined
        assert files.unknown_columns == []
        assert "unreadable" not in files.quarantined
        assert files.rows_quarantined < files.rows_in * 0.005
        assert pq.read_schema(files.trips_path).equals(arrow_schema(trip_columns(Service.GREEN)))
    eras = [files for files in months if str(files.month) in ("2013-08", "2020-04", "2022-01", "2025-01")]
    paths_of_eras = [str(files.trips_path) for files in eras]
    query = (
        "SELECT date_trunc('month', pickup_datetime)::DATE::VARCHAR, count(*), count(pickup_longitude) > 0,"
        f" count(cbd_congestion_fee) > 0 FROM read_parquet({paths_of_eras}) GROUP BY 1 ORDER BY 1"
    )
    assert duckdb.sql(query).fetchall() == [
        ("2013-08-01", 7621, True, False),
        ("2020-04-01", 35_606, False, False),
        ("2022-01-01", 62_491, False, False),
        ("2025-01-01", 48_283, False, True),
    ]


def test_samples_of_other_services_and_years_are_read_whole(real_data: Path, tmp_path: Path) -> None:
    paths = [*real_data.glob("samples/*"), *real_data.glob("nyc-tlc-data/yellow/*")]
    assert len(paths) >= 6
    for path in paths:
        files = month(path, tmp_path / path.name)
        assert files.unknown_columns == []
        assert "unreadable" not in files.quarantined
        assert files.trips > files.rows_in * 0.99


def test_a_file_that_a_spreadsheet_mangled_is_refused(real_data: Path, tmp_path: Path) -> None:
    source = source_file(real_data / "broken" / "spreadsheet_mangled_dates.csv", Service.YELLOW, "2021-01")
    with pytest.raises(
        NotTripData, match=r"cannot be read \(the first: tpep_pickup_datetime is '1/1/2021 0:30', which"
    ):
        cleaned(source, tmp_path / "scratch", max_unreadable=0.1)


def test_what_the_rules_say_of_the_files_is_true(real_data: Path) -> None:
    """The figures in `why` and in docs/analyst.md, by another reader."""
    months = [*real_data.glob("nyc-tlc-data/green/green_tripdata_2020-*.csv.gz")]
    months += [*real_data.glob("trip-data/green_*.parquet")]
    day_long, by_vendor_2, nulls, furthest, vendor_6, month_in_minutes = 0, 0, 0.0, 0.0, 0, 0
    with duckdb.connect() as connection:
        for path in months:
            figures = connection.execute(
                f"""
                WITH trips AS (
                    SELECT *, lpep_dropoff_datetime - lpep_pickup_datetime AS lasted FROM '{path}'
                )
                SELECT count(*) FILTER (lasted >= INTERVAL 23 HOUR AND lasted < INTERVAL 24 HOUR),
                    count(*) FILTER (
                        lasted >= INTERVAL 23 HOUR AND lasted < INTERVAL 24 HOUR AND VendorID = 2
                    ),
                    count(*) FILTER (passenger_count IS NULL) / count(*),
                    max(trip_distance),
                    count(*) FILTER (VendorID = 6),
                    count(*) FILTER (
                        VendorID = 6 AND minute(lpep_pickup_datetime) = {int(path.name[20:22])}
                        AND minute(lpep_dropoff_datetime) = {int(path.name[20:22])}
                    )
                FROM trips
                """
            ).fetchall()[0]
            day_long += figures[0]
            by_vendor_2 += figures[1]
            nulls, furthest = max(nulls, figures[2]), max(furthest, figures[3])
            vendor_6 += figures[4]
            month_in_minutes += figures[5]
    assert len(months) == 12
    assert (day_long, by_vendor_2) == (1945, 1943)
    assert (round(nulls, 2), int(furthest)) == (0.45, 224_481)
    assert vendor_6 == month_in_minutes == 731
