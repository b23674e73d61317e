"""Ways to open a month for analysis. Change this scratchpad as you like: pipeline runs ignore it."""

import duckdb

import nyc_taxi
from mage_project.utils import trips
from mage_project.utils.destination_queries import query_destination
from nyc_taxi.model.months import Month, Service

# pandas, with only the columns that are needed
columns = ["pickup_datetime", "trip_distance", "total_amount", "payment_type"]
print(trips("green", "2020-04", columns=columns).describe())

# Arrow, which filters while it reads, so that a large month fits into memory
long_trips = trips("green", "2020-04", "arrow", filters=[("trip_distance", ">", 20)])
print(f"{len(long_trips):,} trips of more than 20 miles")

# DuckDB: SQL on the trips and on the quarantine
month = trips("green", "2020-04", "duckdb")
quarantine = nyc_taxi.read_quarantine("green", "2020-04", as_="duckdb")
print(
    duckdb.sql(
        "SELECT payment_type, count(*) AS trips, avg(tip_amount) AS tip FROM month GROUP BY 1 ORDER BY 1"
    )
)
print(duckdb.sql("SELECT reasons, count(*) AS trips FROM quarantine GROUP BY 1 ORDER BY 2 DESC"))

# every destination holds the same rows
totals = "SELECT count(*) AS trips, sum(total_amount) AS total FROM {trips}"
for destination in ("postgres", "duckdb", "gcs"):
    print(destination)
    print(query_destination(destination, totals, Service.GREEN, Month(2020, 4)))
