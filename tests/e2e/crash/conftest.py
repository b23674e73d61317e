"""Environments in which victims run: a source whose months change, and an empty destination of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from tests.support.bigquery import bigquery, emulator, shared_dataset  # noqa: F401
from tests.support.clouds import S3Cloud, s3_cloud

MONTHS = ("2020-03", "2020-04", "2022-01")
ROWS = 1_500


@pytest.fixture
def s3() -> Iterator[S3Cloud]:
    """An empty bucket of S3."""
    with s3_cloud() as cloud:
        yield cloud


@dataclass
class Source:
    """A folder with months of which each has two versions; `turn` changes which one is there."""

    folder: Path
    versions: dict[str, list[bytes]] = field(default_factory=dict)
    turns: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        for month in MONTHS:
            path = self._path(month)
            contents = []
            for seed in (1, 2):
                samples.write(Service.GREEN, Month.parse(month), path, rows=ROWS + seed, seed=seed)
                contents.append(path.read_bytes())
            self.versions[month] = contents
            self.turns[month] = 1

    def turn(self, month: str) -> None:
        """Republish the month with its other version."""
        self.turns[month] = 1 - self.turns[month]
        path = self._path(month)
        new = path.with_suffix(".new")
        new.write_bytes(self.versions[month][self.turns[month]])
        new.replace(path)

    def _path(self, month: str) -> Path:
        return self.folder / f"green_tripdata_{month}.{'parquet' if month >= '2022' else 'csv.gz'}"


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """The source of all crash tests."""
    return Source(tmp_path_factory.mktemp("crash") / "source")
