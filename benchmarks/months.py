"""Generated months, the same bytes on every machine, and our refined output of one of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.place import Place
from nyc_taxi.settings import PROJECT

FOLDER = PROJECT / "benchmarks" / ".months"
"""Folder of the generated months, ignored by git."""

TAXI = str(PROJECT / ".venv" / "bin" / "taxi")

SERVICE, MONTH = "yellow", "2021-01"


@dataclass(frozen=True)
class GeneratedMonth:
    """A yellow month of TLC's CSV era with a given number of rows."""

    rows: int

    @property
    def name(self) -> str:
        """Below FOLDER."""
        return f"{self.rows}/{SERVICE}_tripdata_{MONTH}.csv.gz"

    @property
    def path(self) -> Path:
        """The file."""
        return FOLDER / self.name

    def generate(self, log: Callable[[str], None]) -> None:
        """Generate the file unless it exists."""
        if not self.path.exists():
            log(f"Generating a month of {self.rows:,} rows, once.")
            _taxi("sample", SERVICE, MONTH, str(self.path), "--rows", str(self.rows))


@dataclass(frozen=True)
class Prepared:
    """Our output for a month, the input of the limits, the bucket and the warehouse."""

    trips: int
    """Number of trips in the month."""
    table: str
    """An empty table with the trips' columns."""
    copy_file: str
    """File with the trips in Postgres's binary format, on the server."""
    copy_size: int
    """Bytes of that file."""
    parquet: Path
    """The folder with the month's Parquet."""


def prepare(month: GeneratedMonth, place: Place) -> Prepared:
    """Load the month once and keep its output."""
    place.reset()
    name = f"prepared_{place.runs}"
    workspace = place.folder / name
    environment = {**place.environment(), "TAXI_WORKSPACE": str(workspace)}
    _taxi("run", SERVICE, MONTH, "--source", str(month.path), "--to", "postgres", env=environment)
    loaded, table = f"taxi.trips_{SERVICE}", f"public.{name}"
    data = place.sql("SHOW data_directory")[0][0]  # writable by the server, whatever its account
    copy_file = f"{Path(data).parent}/{name}.binary"
    place.sql(f"CREATE TABLE {table} (LIKE {loaded})")
    place.sql(f"COPY (SELECT * FROM {loaded}) TO '{copy_file}' (FORMAT binary)")
    [parquet] = (workspace / "lake" / "versions").glob("*/*/version=*")
    return Prepared(
        trips=place.rows(loaded),
        table=table,
        copy_file=copy_file,
        copy_size=place.sql(f"SELECT (pg_stat_file('{copy_file}')).size")[0][0],
        parquet=parquet,
    )


def _taxi(*arguments: str, env: dict[str, str] | None = None) -> None:
    subprocess.run([TAXI, *arguments], env=env, check=True, stdout=subprocess.DEVNULL)
