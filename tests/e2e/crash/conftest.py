"""Environments in which victims run: a source whose months change, and an empty destination of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from nyc_taxi.local import gcs, samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import load_settings
from tests.support.destinations import (
    ObjectProbe,
    Probe,
    bigquery_destination,
    duckdb_destination,
    postgres_destination,
    s3_destination,
)

__all__ = ["bigquery_destination", "duckdb_destination", "postgres_destination", "s3_destination"]

MONTHS = ("2020-03", "2020-04", "2022-01")
ROWS = 1_500


@dataclass
class EmbeddedGcsProbe(ObjectProbe):
    """The embedded server, which the first victim starts."""

    def _objects(self) -> dict[str, bytes]:
        server = gcs.ensure(load_settings().workspace / "gcs")  # a victim may have died while it started it
        client = httpx.Client(base_url=f"{server.url}/storage/v1/b/taxi/", trust_env=False)
        with client:
            items = client.get("o").raise_for_status().json().get("items", [])
            names = [item["name"] for item in items]
            get = {name: client.get(f"o/{quote(name, safe='')}", params={"alt": "media"}) for name in names}
        return {name: answer.raise_for_status().content for name, answer in get.items()}


@pytest.fixture
def gcs_destination(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Probe]:
    """In place of the stub, which does not run in a process of its own."""
    monkeypatch.delenv("GCS_BUCKET", raising=False)
    yield EmbeddedGcsProbe("gcs")
    gcs.stop(workspace / "gcs")


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
