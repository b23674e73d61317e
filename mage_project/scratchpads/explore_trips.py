"""A month opened in every way an analyst may like; change it as you please, it takes no part in runs."""

import duckdb
import pandas as pd
import pyarrow.dataset as ds

from mage_project.utils.destination_queries import ask
from nyc_taxi.model.months import Month, Service
from nyc_taxi.reporting.status import newest_files

files = newest_files(Service.GREEN, Month(2020, 4))
month = str(files.trips_path)

# pandas: only the columns that are needed
trips = pd.read_parquet(month, columns=["pickup_datetime", "trip_distance", "total_amount", "payment_type"])
print(trips.describe())

# Arrow: filtered while it is read, so that a large month fits
long_trips = ds.dataset(month).to_table(filter=ds.field("trip_distance") > 20)
print(f"{len(long_trips):,} trips of more than 20 miles")

# DuckDB: SQL on the file, and on the rows that are no trips
tips = f"SELECT payment_type, count(*) AS trips, avg(tip_amount) AS tip FROM '{month}' GROUP BY 1 ORDER BY 1"
print(duckdb.sql(tips))
print(
    duckdb.sql(f"SELECT reasons, count(*) AS trips FROM '{files.quarantine_path}' GROUP BY 1 ORDER BY 2 DESC")
)

# every destination holds the same
totals = "SELECT count(*) AS trips, sum(total_amount) AS total FROM {trips}"
for destination in ("postgres", "duckdb", "gcs"):
    print(destination)
    print(ask(destination, totals, files.service, files.month))
