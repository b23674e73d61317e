"""Each module here loads one month in its own way and is run as a process: `python -m ... FILE PLACE`.

FILE is the month's CSV.gz, PLACE the Postgres URL; the rows go into the table TABLE of SCHEMA, which is
empty. Each does what its documentation names as the fastest way. What is different says so.
"""

SCHEMA = "contest"
TABLE = "trips"

TIMES = ["tpep_pickup_datetime", "tpep_dropoff_datetime"]
"""The columns of a yellow month that hold a time."""
