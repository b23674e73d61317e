"""`python -m tests.support.fuzz FOLDER FIRST COUNT [REAL]`: load mutated files and print JSON lines.

The files are TLC's below the folder REAL, or generated.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import duckdb

from nyc_taxi.cli.pandas_import import keep_pandas_out
from nyc_taxi.errors import TaxiError
from nyc_taxi.extract.fetch import fetch
from nyc_taxi.extract.sources import resolve
from nyc_taxi.load.registry import open_destination
from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.schema.sql import literal
from nyc_taxi.settings import Settings, load_settings
from nyc_taxi.transform.clean import clean_month
from nyc_taxi.transform.parquet import write_month
from nyc_taxi.transform.refined import RefinedMonth
from nyc_taxi.transform.version import month_version
from tests.support.builders import project_rules
from tests.support.memory import peak_megabytes
from tests.support.mutations import mutate

SEED = 17
HANG_SECONDS = 30
GENERATED = [
    "green_tripdata_2013-09.csv",
    "yellow_tripdata_2015-01.csv",
    "fhv_tripdata_2019-02.csv",
    "green_tripdata_2020-04.csv.gz",
    "yellow_tripdata_2021-01.csv.gz",
    "green_tripdata_2023-01.parquet",
    "yellow_tripdata_2025-01.parquet",
    "fhvhv_tripdata_2023-01.parquet",
]
NAME = re.compile(r"(yellow|green|fhvhv|fhv)_tripdata_(\d{4}-\d\d)\D*?\.(csv\.gz|csv|parquet)")


@dataclass(frozen=True)
class Base:
    """A file before its mutation."""

    path: Path
    service: Service
    month: Month
    ending: str

    @classmethod
    def of(cls, path: Path) -> Base | None:
        """Parse the file's name; None if it names no month."""
        match = NAME.fullmatch(path.name)
        return cls(path, Service(match[1]), Month.parse(match[2]), match[3]) if match else None


def real_bases(folder: Path) -> list[Base]:
    """Return TLC's files in a folder with the layout of TAXI_REAL_DATA."""
    paths = [path for name in ("nyc-tlc-data", "trip-data", "samples") for path in (folder / name).rglob("*")]
    return [base for path in sorted(paths) if (base := Base.of(path))]


def generated_bases(folder: Path) -> list[Base]:
    """Write a small file of each kind into the folder."""
    generated = [base for name in GENERATED if (base := Base.of(folder / name))]
    for base in generated:
        samples.write(base.service, base.month, base.path, rows=400)
    return generated


def load(path: Path, base: Base, settings: Settings) -> MonthFiles:
    """Fetch, clean, write and load the file as `taxi run` does, without checking plausibility."""
    source = fetch(base.service, base.month, resolve(str(path), settings), settings.workspace)
    rules, folder = project_rules(base.service), settings.workspace
    cleaned = clean_month(
        source, rules, folder / "scratch", threads=2, max_unreadable=settings.max_unreadable
    )
    files = write_month(cleaned, rules, folder / "files" / month_version(source, rules))
    if files.trips:
        open_destination("duckdb", settings).replace_month(RefinedMonth.of(files), Run.new("cli"))
    return files


def independent_count(path: Path, ending: str) -> int | None:
    """Count rows with another reader; None if it cannot read the file."""
    if path.read_bytes()[:4] == b"PAR1":
        try:
            query = f"SELECT count(*) FROM read_parquet({literal(str(path))})"
            return int(duckdb.connect().execute(query).fetchall()[0][0])
        except duckdb.Error:
            return None
    data = path.read_bytes()
    text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    return sum(bool(line.rstrip(b"\r")) for line in text.split(b"\n")[1:])


def run_case(case: int, known: list[Base], folder: Path) -> dict[str, object]:
    """Mutate a file, load it and return the result."""
    rng = random.Random(f"{SEED}-{case}")
    base = rng.choice(known)
    data, change = mutate(base.path.read_bytes(), base.ending, rng)
    path = folder / f"mutated.{base.ending}"
    path.write_bytes(data)
    result: dict[str, object] = {"case": case, "file": base.path.name, "change": change}
    signal.alarm(HANG_SECONDS)
    try:
        files = load(path, base, load_settings())
        result |= {"rows_in": files.rows_in, "rows_out": files.trips + files.rows_quarantined}
        result["counted"] = independent_count(path, base.ending)
    except TaxiError as error:
        result |= {"kind": type(error).__name__, "refused": str(error)}
    except BaseException:
        result["traceback"] = traceback.format_exc()
    finally:
        signal.alarm(0)
        shutil.rmtree(folder / "workspace", ignore_errors=True)
    return result


def main(folder: Path, first: int, count: int, real: Path | None = None) -> None:
    """Run the cases; the last line contains the peak memory in MB."""
    keep_pandas_out()
    signal.signal(signal.SIGALRM, _hang)
    os.environ["TAXI_WORKSPACE"] = str(folder / "workspace")
    known = real_bases(real) if real else generated_bases(folder)
    for case in range(first, first + count):
        sys.stdout.write(json.dumps(run_case(case, known, folder)) + "\n")
        sys.stdout.flush()
    sys.stdout.write(json.dumps({"megabytes": peak_megabytes()}) + "\n")


def _hang(*_: object) -> None:
    raise TimeoutError(f"more than {HANG_SECONDS} seconds")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *map(Path, sys.argv[4:]))
