"""Bike-share: stations and trips from an application's database and a bucket into a small warehouse.

Five steps, each a function of `nyc_taxi.pipelines.bikeshare.flow`: extract (tables of MySQL to Parquet),
land (into the bucket, one folder per day), wait_for_day (for the trips), load (into raw tables, one
partition per day), transform (into dim_stations, fact_trips_daily, top_stations_daily).
"""

from nyc_taxi.extras import require_extra

# checked on import: the modules import SQLAlchemy, and every run uses a bucket
for extra in ("mysql", "gcp"):
    require_extra(extra, "The bike-share pipeline")
