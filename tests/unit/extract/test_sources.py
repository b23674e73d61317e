import datetime as dt
import os
from pathlib import Path

import pytest

from nyc_taxi.errors import SettingsError, SourceError
from nyc_taxi.extract.sources import names_other, resolve
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import load_settings

GREEN = Service.GREEN
APRIL = Month(2020, 4)


def urls(text: str, service: Service = GREEN, month: Month = APRIL) -> list[str]:
    return [place.url for place in resolve(text, load_settings()).candidates(service, month)]


@pytest.fixture(autouse=True)
def _bases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_TLC_URL", "https://tlc.test/trip-data")
    monkeypatch.setenv("TAXI_CSV_URL", "https://mirror.test/download/")


def test_the_named_sources() -> None:
    assert urls("tlc") == ["https://tlc.test/trip-data/green_tripdata_2020-04.parquet"]
    assert urls(" CSV ") == ["https://mirror.test/download/green/green_tripdata_2020-04.csv.gz"]
    assert urls("auto") == urls("csv") + urls("tlc")


@pytest.mark.parametrize(
    ("service", "month", "mirrored"),
    [
        ("green", "2018-12", False),
        ("green", "2019-01", True),
        ("yellow", "2021-07", True),
        ("yellow", "2021-08", False),
        ("fhv", "2020-04", False),
    ],
)
def test_auto_takes_the_mirror_for_its_months_only(service: str, month: str, mirrored: bool) -> None:
    hosts = [url.split("/")[2] for url in urls("auto", Service(service), Month.parse(month))]
    assert hosts == (["mirror.test", "tlc.test"] if mirrored else ["tlc.test"])


def test_the_names_below_a_folder_and_a_base_url_are_the_same(tmp_path: Path) -> None:
    names = [
        f"{folder}green_tripdata_2020-04{ending}"
        for folder in ("", "green/")
        for ending in (".parquet", ".csv.gz", ".csv")
    ]
    assert urls(str(tmp_path)) == [f"{tmp_path}/{name}" for name in names]
    assert urls(f"file://{tmp_path}") == urls(str(tmp_path))
    assert urls("http://files.test/taxi/v1.2/") == [f"http://files.test/taxi/v1.2/{name}" for name in names]


def test_relative_paths_count_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.csv").touch()
    monkeypatch.chdir(tmp_path)
    assert urls("mine.csv") == [str(tmp_path / "mine.csv")]


@pytest.mark.parametrize("url", ["http://files.test/any.csv.gz", "http://files.test/get?id=3"])
def test_a_file_url_is_taken_as_it_is(url: str) -> None:
    (place,) = resolve(url, load_settings()).candidates(GREEN, APRIL)
    assert place.location == url


def test_secrets_in_a_url_are_never_shown() -> None:
    source = resolve("https://me:secret@files.test/taxi/x.csv?sig=secret#secret", load_settings())
    (place,) = source.candidates(GREEN, APRIL)
    texts = [source.text, place.url, place.name, repr(source), repr(place), str(source.missing(GREEN, APRIL))]
    assert not [text for text in texts if "secret" in text]
    assert place.url == "https://files.test/taxi/x.csv"


def test_samples_say_rows_and_seed_and_can_be_asked_for_again() -> None:
    (default,) = resolve("sample", load_settings()).candidates(GREEN, APRIL)
    (given,) = resolve("sample:500:7", load_settings()).candidates(GREEN, APRIL)
    assert (default.url, given.url) == ("sample::1", "sample:500:7")
    assert resolve(default.url, load_settings()).candidates(GREEN, APRIL) == [default]
    assert given.name == "green_tripdata_2020-04_sample_500_7.csv.gz"
    assert default.name != given.name
    (parquet,) = resolve("sample:500", load_settings()).candidates(GREEN, Month(2025, 1))
    assert parquet.name.endswith(".parquet")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tcl",
        "sample:x",
        "sample:0",
        "sample:1:2:3",
        "s3://bucket/key",
        "http://[x",
        "http:///x",
        "./none",
    ],
)
def test_what_is_no_source_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match=r"use|write|URL"):
        resolve(text, load_settings())


def test_no_place_before_the_first_month() -> None:
    source, before = resolve("tlc", load_settings()), Month(2013, 7)
    assert source.candidates(GREEN, before) == []
    assert source.published(GREEN, before) is None
    assert "files begin with 2013-08" in str(source.missing(GREEN, before))


def test_a_missing_month_says_why_and_where_it_was_looked_for(tmp_path: Path) -> None:
    past = str(resolve("tlc", load_settings()).missing(GREEN, APRIL))
    assert past.startswith("green 2020-04 does not exist")
    assert "https://tlc.test/trip-data/green_tripdata_2020-04.parquet" in past
    this_month = Month.of(dt.datetime.now(dt.UTC).date())
    to_come = str(resolve("tlc", load_settings()).missing(GREEN, this_month))
    assert "not published yet: TLC publishes about two months after" in to_come
    assert f"end of {this_month + 2}" in to_come
    listed = str(resolve(str(tmp_path), load_settings()).missing(GREEN, APRIL))
    assert f"green_tripdata_2020-04.csv in {tmp_path} and {tmp_path}/green." in listed
    assert "green_tripdata_2020-04.csv in / and /green." in str(
        resolve("/", load_settings()).missing(GREEN, APRIL)
    )


def test_names_that_say_another_month() -> None:
    assert names_other("green_tripdata_2020-04.csv", GREEN, APRIL) is None
    assert names_other("my.csv", GREEN, APRIL) is None
    assert names_other("green_tripdata_2020-05.parquet", GREEN, APRIL) == "green 2020-05"
    assert names_other("old_fhvhv_tripdata_2020-04.csv", GREEN, APRIL) == "fhvhv 2020-04"


def test_a_device_a_pipe_and_a_loop_are_no_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for text in ("/dev/zero", str(tmp_path / "pipe")):
        with pytest.raises(SettingsError, match="is a device or pipe: use a file or a folder"):
            resolve(text, load_settings())
    for text in (str(tmp_path / "loop"), "~no_such_user/trips.csv"):
        with pytest.raises(SettingsError, match="is not known: use auto"):
            resolve(text, load_settings())


def test_a_pipe_in_a_folder_is_no_month(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "green_tripdata_2020-04.parquet")
    with pytest.raises(SourceError, match="is not a file; remove it"):
        resolve(str(tmp_path), load_settings()).published(Service.GREEN, Month(2020, 4))
