"""Bike-share: stations and trips from an application's database and a bucket into a small warehouse.

Five steps, each a function of `nyc_taxi.pipelines.bikeshare.flow`: extract (MySQL's tables as Parquet),
land (in the bucket, one folder per day), wait_for_day (the trips), load (raw tables, one partition per
day), transform (dim_stations, fact_trips_daily, top_stations_daily).
"""

from nyc_taxi.extras import require_extra

# here, as the modules import SQLAlchemy and every run uses a bucket
for extra in ("mysql", "gcp"):
    require_extra(extra, "The bike-share pipeline")
