"""`python -m benchmarks.scale` (`make bench-scale`): months per hour by number of workers, for docs/scale.md.

It measures what a month costs a worker (CPU seconds of `taxi run`) and how many rows per second the
Postgres server takes from several connections. From both, mean value analysis of a closed queueing network
computes the throughput: workers prepare months independently of each other and queue at the server.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2

from benchmarks import machine, measure, report
from benchmarks.__main__ import ROWS
from benchmarks.months import FOLDER, MONTH, SERVICE, TAXI, GeneratedMonth, Prepared, prepare
from benchmarks.place import Place, place
from nyc_taxi.local.postgres import superuser_url
from nyc_taxi.settings import PROJECT

PAGE = PROJECT / "docs" / "scale.md"
SMALL = 20_000
"""Rows of a month that consists mainly of start-up: the fixed cost of a month."""
CONNECTIONS = (1, 2, 4)
WORKERS = (1, 2, 4, 8, 16, 32)
MONTHS = {"green (50,000 rows)": 50_000, "yellow (4 million)": 4_000_000, "fhvhv (20 million)": 20_000_000}
"""Rows of typical months of today, by title."""
ROUNDS = 3


def main() -> int:
    """Measure, compute, and write both tables into docs/scale.md."""
    months = [GeneratedMonth(rows) for rows in (SMALL, ROWS)]
    for month in months:
        month.generate(print)
    with place(FOLDER, needed=3 * 10**9) as scratch:
        facts = machine.describe(scratch)
        if machine.is_busy(facts):
            print("Other programs are running: the figures are unreliable.", file=sys.stderr)
        fixed, whole = (worker_seconds(month, scratch) for month in months)
        prepared = prepare(months[-1], scratch)
        rates = {count: server_rate(prepared, scratch, count) for count in CONNECTIONS}
    per_row = (whole - fixed) / (ROWS - SMALL)
    costs = [
        ["a worker, per month", f"{fixed:.1f} CPU seconds"],
        ["a worker, per million rows", f"{per_row * 1e6:.1f} CPU seconds"],
        *(
            [f"the server, {count} connection{'s' * (count > 1)}", f"{rate:,.0f} rows per second"]
            for count, rate in rates.items()
        ),
    ]
    capacity = max(rates.values())

    def line(workers: int) -> list[str]:
        rates = (hourly(workers, rows, fixed, per_row, capacity) for rows in MONTHS.values())
        return [str(workers), *(f"{rate:,.0f}" for rate in rates)]

    limit = ["the server's limit", *(f"{3600 * capacity / rows:,.0f}" for rows in MONTHS.values())]
    sections = {
        "costs": f"{machine.in_words(facts)}.\n\n{report.markdown(['what', 'cost'], costs)}",
        "throughput": report.markdown(["workers of one core", *MONTHS], [*map(line, WORKERS), limit]),
    }
    print(*sections.values(), sep="\n\n")
    report.write_into(PAGE, sections)
    return 0


def worker_seconds(month: GeneratedMonth, scratch: Place) -> float:
    """Return the median of the CPU seconds of `taxi run`, without the server's."""
    command = [TAXI, "run", SERVICE, MONTH, "--source", str(month.path), "--to", "postgres"]
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            scratch.reset()
            seconds.append(measure.run(command, scratch.environment(), Path(folder) / "log").cpu)
    return statistics.median(seconds)


def server_rate(prepared: Prepared, scratch: Place, connections: int) -> float:
    """Return the rows per second of several connections that each load the month into their own table."""
    rates = []
    for _ in range(ROUNDS):
        for number in range(connections):
            scratch.sql(f"DROP TABLE IF EXISTS scale_{number}")
        scratch.sql("CHECKPOINT")
        started = time.monotonic()
        with ThreadPoolExecutor(connections) as pool:
            list(pool.map(lambda number: _load(prepared, scratch, number), range(connections)))
        rates.append(connections * prepared.trips / (time.monotonic() - started))
    return statistics.median(rates)


def _load(prepared: Prepared, scratch: Place, number: int) -> None:
    with (
        closing(psycopg2.connect(superuser_url(scratch.postgres))) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"CREATE TABLE scale_{number} (LIKE {prepared.table})")
        cursor.execute(f"COPY scale_{number} FROM '{prepared.copy_file}' (FORMAT binary, FREEZE)")
        cursor.execute(f"CREATE INDEX ON scale_{number} USING brin (pickup_datetime)")
        cursor.execute(f"ANALYZE scale_{number}")


def hourly(workers: int, rows: int, fixed: float, per_row: float, capacity: float) -> float:
    """Return the months per hour of workers that prepare months and queue at the server.

    `fixed` and `per_row` are CPU seconds of a worker, `capacity` is the server's rows per second.
    """
    prepare_seconds, serve_seconds = fixed + per_row * rows, rows / capacity
    waiting = throughput = 0.0
    for population in range(1, workers + 1):
        response = serve_seconds * (1 + waiting)  # a month finds the queue of one worker fewer
        throughput = population / (prepare_seconds + response)
        waiting = throughput * response
    return 3600 * throughput


if __name__ == "__main__":
    sys.exit(main())
