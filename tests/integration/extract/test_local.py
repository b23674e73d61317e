"""Files that need no download: local ones, used where they lie, and generated ones."""

import os
from importlib import import_module
from pathlib import Path

import pytest

from nyc_taxi.errors import NotPublished, SourceError, SourceUnreachable, Transient
from nyc_taxi.extract.fetch import fetch
from nyc_taxi.extract.formats import detect_format
from nyc_taxi.extract.sources import resolve
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import SourceFile
from nyc_taxi.settings import load_settings
from tests.support.published_months import APRIL, CSV, CSV_GZ, GREEN, bring, left_in, sha256


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    (folder / "green").mkdir(parents=True)
    return folder


@pytest.mark.parametrize("name", ["green_tripdata_2020-04.csv.gz", "green/green_tripdata_2020-04.csv"])
def test_a_folder_s_file_is_used_where_it_lies(files: Path, tmp_path: Path, name: str) -> None:
    (files / name).write_bytes(CSV)
    os.utime(files / name, (1593597600, 1593597600))
    file = bring(str(files), tmp_path)
    assert file == SourceFile(
        GREEN,
        APRIL,
        name=Path(name).name,
        url=str(files / name),
        sha256=sha256(CSV),
        size=len(CSV),
        etag=None,
        last_modified="Wed, 01 Jul 2020 10:00:00 GMT",
    )
    assert file.path == files / name
    assert left_in(tmp_path) == [f"{Path(name).name}.in-place.json"]


def test_a_folder_without_the_month_says_what_was_looked_for(files: Path, tmp_path: Path) -> None:
    with pytest.raises(
        NotPublished, match=rf"green_tripdata_2020-04\.parquet, .* in {files} and {files}/green"
    ):
        bring(str(files), tmp_path)


def test_an_unchanged_file_is_not_hashed_again(files: Path, tmp_path: Path) -> None:
    path = files / "mine.csv"
    path.write_bytes(CSV)
    first, stat = bring(str(path), tmp_path), path.stat()
    path.write_bytes(CSV[::-1])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # same name, size and time: the note is believed
    assert bring(str(path), tmp_path).sha256 == first.sha256
    os.utime(path)
    assert bring(str(path), tmp_path).sha256 == sha256(CSV[::-1])
    path.write_bytes(CSV_GZ)
    assert bring(str(path), tmp_path).sha256 == sha256(CSV_GZ)


def test_files_of_the_same_name_are_told_apart(files: Path, tmp_path: Path) -> None:
    one, other = files / "mine.csv", files / "green" / "mine.csv"
    for path, data in ((one, CSV), (other, CSV[::-1])):
        path.write_bytes(data)
        os.utime(path, (1593597600, 1593597600))
    assert bring(str(one), tmp_path).sha256 == sha256(CSV)
    assert bring(str(other), tmp_path).sha256 == sha256(CSV[::-1])


def test_another_month_in_the_name_is_refused(files: Path, tmp_path: Path) -> None:
    path = files / "yellow_tripdata_2020-05.csv"
    path.write_bytes(CSV)
    with pytest.raises(SourceError, match="its name says yellow 2020-05, not green 2020-04"):
        bring(str(path), tmp_path)
    assert not (tmp_path / "source").exists()


def test_a_file_that_is_being_written_is_transient(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files / "mine.csv"
    path.write_bytes(CSV)

    def append(path: Path, name: str) -> None:
        with path.open("ab") as file:
            file.write(b"2,10\n")

    monkeypatch.setattr(import_module("nyc_taxi.extract.fetch"), "verify", append)
    with pytest.raises(SourceUnreachable, match="is being written"):
        bring(str(path), tmp_path)
    assert left_in(tmp_path) == []


def test_a_file_that_cannot_be_read(files: Path, tmp_path: Path) -> None:
    path = files / "green_tripdata_2020-04.csv"
    path.mkdir()
    with pytest.raises(SourceError, match=rf"{path}: is not a file; remove it") as caught:
        bring(str(files), tmp_path)
    assert not isinstance(caught.value, Transient)


@pytest.mark.parametrize(("month", "kind"), [(APRIL, "csv.gz"), (Month(2025, 1), "parquet")])
def test_a_sample_is_generated_once(tmp_path: Path, month: Month, kind: str) -> None:
    file = fetch(GREEN, month, resolve("sample:50:3", load_settings()), tmp_path)
    assert file.is_sample
    assert file.url == "sample:50:3"
    assert detect_format(file.path) == kind
    assert sha256(file.path.read_bytes()) == file.sha256
    modified = file.path.stat().st_mtime_ns
    assert fetch(GREEN, month, resolve("sample:50:3", load_settings()), tmp_path) == file
    assert file.path.stat().st_mtime_ns == modified
    file.path.unlink()
    assert fetch(GREEN, month, resolve("sample:50:3", load_settings()), tmp_path).sha256 == file.sha256
    assert fetch(GREEN, month, resolve("sample:50:4", load_settings()), tmp_path).sha256 != file.sha256


def test_a_sample_of_an_older_package_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = bring("sample:50", tmp_path)
    modified = file.path.stat().st_mtime_ns
    monkeypatch.setattr("nyc_taxi.extract.candidates.__version__", "99")
    newer = bring("sample:50", tmp_path)
    assert newer.etag != file.etag
    assert newer.path.stat().st_mtime_ns > modified


def test_no_month_before_the_first(tmp_path: Path) -> None:
    with pytest.raises(NotPublished, match="files begin with 2019-02"):
        fetch(Service.FHVHV, APRIL - 15, resolve("sample", load_settings()), tmp_path)
