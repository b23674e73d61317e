"""What analysts find in every warehouse: months of all eras in one table, and revenue by zone."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import month_files, parquet_month, source_file
from tests.support.destinations import FIXTURES, SqlProbe

RUN = Run("run-1", "cli")


@pytest.fixture(params=["duckdb", pytest.param("bigquery", marks=pytest.mark.slow)])
def warehouse(request: pytest.FixtureRequest, workspace: Path) -> SqlProbe:
    probe: SqlProbe = request.getfixturevalue(FIXTURES[request.param])
    return probe


def test_months_of_four_eras_are_one_table(warehouse: SqlProbe, tmp_path: Path) -> None:
    eras = {"2013-08": "csv", "2020-04": "csv.gz", "2022-01": "parquet", "2025-01": "parquet"}
    for month, ending in eras.items():
        path = tmp_path / f"green_tripdata_{month}.{ending}"
        samples.write(Service.GREEN, Month.parse(month), path, rows=300)
        files = parquet_month(source_file(path, month=month), tmp_path / month)
        entry = warehouse.open().replace_month(RefinedMonth.of(files), RUN)
        assert entry.rows_loaded + entry.rows_quarantined == 300
        assert len(warehouse.rows("trips", files.month)) == entry.rows_loaded
        assert len(warehouse.rows("quarantine", files.month)) == entry.rows_quarantined
    known = {
        month: {name for row in warehouse.rows("trips", Month.parse(month)) for name in row if row[name]}
        & {"pickup_longitude", "pickup_location_id", "cbd_congestion_fee"}
        for month in eras
    }
    assert list(map(len, known.values())) == [2, 1, 1, 2]


def test_revenue_by_day_and_zone_over_both_services(warehouse: SqlProbe, tmp_path: Path) -> None:
    month = warehouse.new_month()
    for service in (Service.YELLOW, Service.GREEN):
        files = month_files(tmp_path, month=str(month), service=service, trips=4)
        table = pq.read_table(files.trips_path)
        new = {
            "pickup_location_id": pa.array([7, 7, None, 7], pa.int16()),
            "total_amount": pa.array([10.0, 2.5, 4.0, 99.0]),
            "reversal_source_row": pa.array([None, None, None, 1], pa.int64()),  # left out
        }
        for name, values in new.items():
            table = table.set_column(table.schema.get_field_index(name), name, values)
        pq.write_table(table, files.trips_path)
        warehouse.open().replace_month(RefinedMonth.of(files), RUN)
    rows = warehouse.query(
        f"SELECT * FROM daily_revenue_by_zone WHERE month = DATE '{month.first_day}' ORDER BY service, trips"
    )
    names = ("service", "pickup_day", "pickup_location_id", "trips", "revenue")
    of_service = [(month.first_day, None, 1, 4.0), (month.first_day, 7, 2, 12.5)]
    assert [tuple(row[name] for name in names) for row in rows] == [
        (service, *row) for service in ("green", "yellow") for row in of_service
    ]
