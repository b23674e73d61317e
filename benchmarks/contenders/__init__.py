"""The contenders: each module loads one month and runs as a process, `python -m ... FILE PLACE`.

FILE is the month's CSV.gz, PLACE the Postgres URL; the rows go to the table TABLE of the empty schema SCHEMA.
Each contender uses the fastest method in its documentation. Docstrings mention exceptions.
"""

SCHEMA = "contest"
TABLE = "trips"

TIMES = ["tpep_pickup_datetime", "tpep_dropoff_datetime"]
"""The timestamp columns of a yellow month."""
