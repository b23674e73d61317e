"""`python -m benchmarks.parts` (`make bench-parts`): measure the parts of a run separately.

Each part runs alone, best of three. Parts of this process are measured in CPU seconds, those of the server
in seconds of one connection. In a real run they overlap on all cores.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pyarrow as pa

from benchmarks import report
from benchmarks.__main__ import ROWS
from benchmarks.months import FOLDER, MONTH, SERVICE, GeneratedMonth, prepare
from benchmarks.place import Place, place
from nyc_taxi.cli.pandas_import import keep_pandas_out
from nyc_taxi.load.postgres import copy
from nyc_taxi.local.postgres import superuser_url
from nyc_taxi.model.months import Month, Service
from nyc_taxi.pipelines.trips.clean import clean
from nyc_taxi.pipelines.trips.download import download
from nyc_taxi.settings import PROJECT, load_settings
from nyc_taxi.transform import judged, parquet
from nyc_taxi.transform.match import match_rows
from nyc_taxi.transform.quality import QualityReport
from nyc_taxi.transform.read import open_month
from nyc_taxi.transform.rule_checks import load_rules
from nyc_taxi.transform.stage import Stage

PICTURE = PROJECT / "docs" / "images" / "time.png"
CLIENT, SERVER = "#2b6cb0", "#c05621"

Parts = dict[str, float]


def main() -> int:
    """Measure, print, and write chart and table to docs/performance.md."""
    keep_pandas_out()
    month = GeneratedMonth(ROWS)
    month.generate(print)
    with tempfile.TemporaryDirectory() as folder, place(FOLDER, needed=3 * 10**9) as scratch:
        os.environ["TAXI_WORKSPACE"] = f"{folder}/workspace"
        ours = client(month.path, Path(folder))
        theirs = server(month, scratch)
    for name, seconds in (ours | theirs).items():
        print(f"{seconds:6.2f} s  {name}")
    draw(ours, theirs, PICTURE)
    cells = [[name, f"{seconds:.2f}"] for name, seconds in (ours | theirs).items()]
    table = report.markdown(["part", "seconds"], cells)
    report.write_into(report.PAGE, {"parts": f"{table}\n\n{least(ours, theirs, os.cpu_count() or 1)}"})
    return 0


def least(ours: Parts, theirs: Parts, cores: int) -> str:
    """Return a sentence on the least time that the parts need, with all cores busy from start to end."""
    client, server = sum(ours.values()), sum(theirs.values())
    return (
        f"These are {client:.1f} s of the client and {server:.1f} s of the server: with {cores} cores busy"
        f" from start to end a run takes at least {(client + server) / cores:.1f} s."
    )


def client(path: Path, folder: Path) -> Parts:
    """Return the CPU seconds of the parts of this process."""
    service, month = Service.parse(SERVICE), Month.parse(MONTH)
    settings = load_settings()
    source = download(service, month, str(path), settings)
    reader, rules = open_month(source), load_rules(settings.rules, service)
    parts: Parts = {"start of Python, imports": _imports()}
    blocks = _best(parts, "gunzip", lambda: list(reader.blocks()))
    chunks = _best(parts, "parse", lambda: [reader.parse(block) for block in blocks])
    query = rules.verdict_sql(month, reader.mapping.absent)
    connection = duckdb.connect(config={"threads": 1})

    def judge(batch: pa.RecordBatch) -> pa.Table:
        connection.register("batch", pa.RecordBatchReader.from_batches(batch.schema, [batch]))
        return connection.execute(query).to_arrow_table()

    verdicts = _best(parts, "rules, row by row", lambda: [judge(chunk.batch) for chunk in chunks])

    def stage() -> Stage:
        with Stage(folder, reader, source, rules) as staged:
            for chunk, verdict in zip(chunks, verdicts, strict=True):
                staged.write(chunk, verdict)
        return staged

    staged = _best(parts, "staging", stage)
    _best(parts, "repeats and reversals", lambda: match_rows(folder, rules, reader.mapping, staged.keys, 1))
    cleaned = clean(source, settings)
    batches = _best(
        parts, "verdicts into rows", lambda: [row for row, _ in judged.judged_batches(cleaned, rules)]
    )

    def report_quality() -> None:
        quality = QualityReport(cleaned)
        for batch in batches:
            quality.add(batch)

    _best(parts, "quality report", report_quality)

    def write() -> None:
        with parquet._Writer(folder / "trips.parquet", judged.trips_schema(cleaned)) as file:
            for batch in batches:
                file.write(batch)

    _best(parts, "Parquet", write)
    schema, rows = judged.staged_trips(cleaned, rules, Future())
    kept = list(rows)
    _best(
        parts, "encoding for COPY", lambda: sum(map(len, copy.binary_chunks(schema, copy._small(iter(kept)))))
    )
    return parts


def server(month: GeneratedMonth, scratch: Place) -> Parts:
    """Return the server's seconds for the statements of a load."""
    prepared = prepare(month, scratch)
    parts: Parts = {}
    with psycopg2.connect(superuser_url(scratch.postgres)) as connection, connection.cursor() as cursor:
        for _ in range(3):
            steps = {
                "server: COPY": f"COPY part FROM '{prepared.copy_file}' (FORMAT binary, FREEZE)",
                "server: index": "CREATE INDEX ON part USING brin (pickup_datetime)",
                "server: ANALYZE": "SET LOCAL default_statistics_target TO 40; ANALYZE part",
                "server: COMMIT": "COMMIT",
            }
            cursor.execute("DROP TABLE IF EXISTS part")
            connection.commit()
            cursor.execute(f"CREATE TABLE part (LIKE {prepared.table})")
            for name, statement in steps.items():
                started = time.monotonic()
                cursor.execute(statement)
                parts[name] = min(time.monotonic() - started, parts.get(name, 1e9))
    return parts


def draw(ours: Parts, theirs: Parts, path: Path) -> None:
    """Draw the parts as a bar chart."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    names, seconds = [*ours, *theirs], [*ours.values(), *theirs.values()]
    bars = axes.barh(names, seconds, color=[CLIENT] * len(ours) + [SERVER] * len(theirs))
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.invert_yaxis()
    axes.set_title(f"{ROWS:,} trips from CSV.gz to Parquet and Postgres: seconds of one core, part by part")
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)


def _imports() -> float:
    modules = [
        *("nyc_taxi.cli.commands", "nyc_taxi.pipelines.trips.run", "nyc_taxi.reporting.summary", "psycopg2"),
        *("nyc_taxi.transform.clean", "nyc_taxi.transform.rule_checks", "nyc_taxi.transform.parquet"),
        *("nyc_taxi.load.postgres.load", "nyc_taxi.load.postgres.replace", "pgpq"),
    ]
    code = f"import time, {', '.join(modules)}"
    command = [sys.executable, "-c", f"{code}; print(time.process_time())"]
    return min(
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(3)
    )


def _best(parts: Parts, name: str, work: Callable[[], Any]) -> Any:
    parts[name] = 1e9
    for _ in range(3):
        started = time.process_time()
        done = work()
        parts[name] = min(parts[name], time.process_time() - started)
    return done


if __name__ == "__main__":
    sys.exit(main())
