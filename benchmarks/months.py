"""Generated months, kept in a folder: the same bytes on every machine. And what ours makes of one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.place import Place
from nyc_taxi.settings import PROJECT

FOLDER = PROJECT / "benchmarks" / ".months"
"""Where they are kept; git ignores it."""

TAXI = str(PROJECT / ".venv" / "bin" / "taxi")

SERVICE, MONTH = "yellow", "2021-01"


@dataclass(frozen=True)
class GeneratedMonth:
    """A yellow month of TLC's CSV era, with as many rows as asked for."""

    rows: int

    @property
    def name(self) -> str:
        """Below FOLDER."""
        return f"{self.rows}/{SERVICE}_tripdata_{MONTH}.csv.gz"

    @property
    def path(self) -> Path:
        """The file."""
        return FOLDER / self.name

    def generate(self, say: Callable[[str], None]) -> None:
        """Have the file there."""
        if not self.path.exists():
            say(f"Generating a month of {self.rows:,} rows, once.")
            _taxi("sample", SERVICE, MONTH, str(self.path), "--rows", str(self.rows))


@dataclass(frozen=True)
class Prepared:
    """What limits, bucket and warehouse start from: the trips of a month as they come out of ours."""

    trips: int
    """How many rows of the month are trips."""
    table: str
    """An empty table with the trips' columns."""
    copy_file: str
    """The trips in Postgres's binary format, where the server has them."""
    copy_size: int
    """Bytes of that file."""
    parquet: Path
    """The folder with the month's Parquet."""


def prepare(month: GeneratedMonth, place: Place) -> Prepared:
    """Load the month once, and keep what came of it."""
    place.reset()
    name = f"prepared_{place.runs}"
    workspace = place.folder / name
    environment = {**place.environment(), "TAXI_WORKSPACE": str(workspace)}
    _taxi("run", SERVICE, MONTH, "--source", str(month.path), "--to", "postgres", env=environment)
    loaded, table = f"taxi.trips_{SERVICE}", f"public.{name}"
    data = place.sql("SHOW data_directory")[0][0]  # the server may write beside it, whoever it runs as
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
