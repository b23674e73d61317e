"""What is done when a place does not answer: the file that is there, or the next place."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from nyc_taxi.errors import NotPublished, SourceUnreachable
from tests.support.published_months import CSV, CSV_GZ, bring, parquet
from tests.support.servers import Fault, FaultyServer, serve

NAME = "green_tripdata_2020-04.csv"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("nyc_taxi")]


def test_an_unreachable_source_leaves_the_file_that_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serve() as server:
        url = server.put(f"/{NAME}", CSV)
        first = bring(url, tmp_path)
    with caplog.at_level(logging.WARNING, "nyc_taxi"):
        assert bring(url, tmp_path) == first
    (warning,) = warnings(caplog)
    assert "cannot be reached" in warning
    assert "Using the file fetched at" in warning
    first.path.write_bytes(b"changed")
    with pytest.raises(SourceUnreachable):
        bring(url, tmp_path)


def test_a_base_url_that_does_not_answer_is_not_asked_for_every_name(
    server: FaultyServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.plan = [Fault(status=503)] * 18
    with pytest.raises(SourceUnreachable):
        bring(server.url, tmp_path)
    assert len(server.requests) == 3
    server.plan = []
    server.put("/green/green_tripdata_2020-04.csv", CSV)
    first = bring(server.url, tmp_path)
    server.plan = [Fault(status=503)] * 18
    with caplog.at_level(logging.WARNING, "nyc_taxi"):
        assert bring(server.url, tmp_path) == first
    (warning,) = warnings(caplog)
    assert "Using the file fetched at" in warning


class TestAuto:
    """The mirror first, TLC's own Parquet when the mirror has not the month or does not answer."""

    @pytest.fixture
    def mirror(self, server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
        """The mirror, without the month; `server` is TLC's site, with it."""
        server.put("/green_tripdata_2020-04.parquet", parquet())
        with serve() as mirror:
            monkeypatch.setenv("TAXI_CSV_URL", mirror.url + "/mirror")
            monkeypatch.setenv("TAXI_TLC_URL", server.url)
            yield mirror

    def test_the_mirror_comes_first(self, mirror: FaultyServer, tmp_path: Path) -> None:
        url = mirror.put("/mirror/green/green_tripdata_2020-04.csv.gz", CSV_GZ)
        assert bring("auto", tmp_path).url == url

    def test_a_month_the_mirror_has_not(
        self, mirror: FaultyServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert bring("auto", tmp_path).path.name == "green_tripdata_2020-04.parquet"
        assert len(mirror.requests) == 1
        assert warnings(caplog) == []

    def test_a_mirror_that_does_not_answer(
        self, mirror: FaultyServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        mirror.plan = [Fault(status=503)] * 3
        assert bring("auto", tmp_path).path.name == "green_tripdata_2020-04.parquet"
        (warning,) = warnings(caplog)
        assert "503" in warning
        assert "Using http" in warning

    def test_a_file_from_the_mirror_comes_before_another_version(
        self, mirror: FaultyServer, tmp_path: Path
    ) -> None:
        mirror.put("/mirror/green/green_tripdata_2020-04.csv.gz", CSV_GZ)
        first = bring("auto", tmp_path)
        mirror.plan = [Fault(status=503)] * 3
        assert bring("auto", tmp_path) == first

    def test_neither(self, server: FaultyServer, mirror: FaultyServer, tmp_path: Path) -> None:
        server.files.clear()
        with pytest.raises(NotPublished, match=r"/mirror/.* and .*\.parquet"):
            bring("auto", tmp_path)
        mirror.plan = [Fault(status=503)] * 3
        with pytest.raises(SourceUnreachable, match="/mirror/"):
            bring("auto", tmp_path)
