"""Ways to open a month for analysis. Change this scratchpad as you like: pipeline runs ignore it."""

import duckdb
import pandas as pd
import pyarrow.dataset as ds

from mage_project.utils.destination_queries import query_destination
from nyc_taxi.model.months import Month, Service
from nyc_taxi.reporting.status import newest_files
from nyc_taxi.settings import load_settings

files = newest_files(Service.GREEN, Month(2020, 4), load_settings())
month = str(files.trips_path)

# pandas, with only the columns that are needed
trips = pd.read_parquet(month, columns=["pickup_datetime", "trip_distance", "total_amount", "payment_type"])
print(trips.describe())

# Arrow, which filters while it reads, so that a large month fits into memory
long_trips = ds.dataset(month).to_table(filter=ds.field("trip_distance") > 20)
print(f"{len(long_trips):,} trips of more than 20 miles")

# DuckDB: SQL on the trips and on the quarantine
tips = f"SELECT payment_type, count(*) AS trips, avg(tip_amount) AS tip FROM '{month}' GROUP BY 1 ORDER BY 1"
print(duckdb.sql(tips))
print(
    duckdb.sql(f"SELECT reasons, count(*) AS trips FROM '{files.quarantine_path}' GROUP BY 1 ORDER BY 2 DESC")
)

# every destination holds the same rows
totals = "SELECT count(*) AS trips, sum(total_amount) AS total FROM {trips}"
for destination in ("postgres", "duckdb", "gcs"):
    print(destination)
    print(query_destination(destination, totals, files.service, files.month))
