import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import TaxiError
from nyc_taxi.lake.layout import FILES
from nyc_taxi.lake.versions import read_month
from nyc_taxi.model.months import Service
from nyc_taxi.model.references import MonthFiles, SourceFile
from nyc_taxi.schema import QUALITY, QUARANTINE, trip_columns
from nyc_taxi.schema.arrow import arrow_schema
from nyc_taxi.transform import parquet
from nyc_taxi.transform.parquet import write_month
from nyc_taxi.transform.read.csv import CsvReader
from nyc_taxi.transform.read.parquet import ParquetReader
from tests.support.builders import cleaned, green_csv, parquet_month, project_rules, source_file

BROKEN = {"total_amount": "1O.80"}
STRAY = {"lpep_pickup_datetime": "2009-01-01 00:00:00"}
NINE = {"lpep_pickup_datetime": "2020-04-10 09:00:00"}
REVERSED = {**NINE, "fare_amount": "-8", "total_amount": "-10.55"}
BACKWARDS = {**STRAY, "lpep_dropoff_datetime": "2008-12-31 23:59:00"}


def many(count: int) -> list[dict[str, str]]:
    """Rows of every kind, mixed."""
    kinds = ({}, {}, {"passenger_count": "0"}, {}, BROKEN, {}, STRAY, NINE, {}, REVERSED, {"VendorID": ""})
    return [dict(kinds[number * number % 11 if number % 13 else 0]) for number in range(count)]


def rows_of(files: MonthFiles, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(files.folder / name).to_pylist()
    return rows


def in_blocks(monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    monkeypatch.setattr(CsvReader.__init__, "__defaults__", (block_bytes,))


def test_trips_carry_their_columns_address_and_verdict(tmp_path: Path) -> None:
    lines = [
        {},
        STRAY,
        NINE,
        {"passenger_count": "0", "trip_distance": "301"},
        REVERSED,
        BROKEN,
        {"New Fee": "1.5"},
    ]
    source = green_csv(tmp_path / "green.csv", lines)
    files = parquet_month(source, tmp_path)
    trips = pq.read_table(files.trips_path)
    assert trips.schema.equals(arrow_schema(trip_columns(Service.GREEN), [pa.field("new_fee", pa.string())]))
    by_row = {row["source_row"]: row for row in trips.to_pylist()}
    assert list(by_row) == [1, 3, 4, 5, 7]
    assert {row["source_version"] for row in by_row.values()} == {source.sha256[:12]}
    assert {number: row["flags"] for number, row in by_row.items()} == {
        1: [],
        3: ["reversal"],
        4: ["no_passengers", "absurd_distance"],
        5: ["reversal", "negative_fare", "negative_total"],
        7: [],
    }
    assert [row["reversal_source_row"] for row in by_row.values()] == [None, 5, None, 3, None]
    assert [row["new_fee"] for row in by_row.values()] == [None] * 4 + ["1.5"]
    assert by_row[1]["ehail_fee"] is None
    assert by_row[1]["pickup_longitude"] is None  # not in the file at all


def test_quarantined_rows_say_why_and_keep_all_they_held(tmp_path: Path) -> None:
    lines = [{}, BROKEN, BACKWARDS, NINE, {**NINE, "New": "x"}, {**NINE, "New": "x"}, {"DOLocationID": '"'}]
    files = parquet_month(green_csv(tmp_path / "green.csv", lines), tmp_path)
    text = (tmp_path / "green.csv").read_text().splitlines()
    quarantine = pq.read_table(files.quarantine_path)
    assert quarantine.schema.equals(arrow_schema(QUARANTINE))
    assert [row["source_row"] for row in quarantine.to_pylist()] == [2, 3, 6, 7]
    unreadable, stray, duplicate, quote = quarantine.to_pylist()
    assert unreadable["reasons"] == ["unreadable"]
    assert unreadable["column_name"] == "total_amount"
    assert unreadable["detail"] == "total_amount is '1O.80', which is no number"
    assert unreadable["raw"] == text[2]
    assert stray["reasons"] == ["outside_month", "dropoff_before_pickup"]
    assert stray["column_name"] is None
    assert stray["detail"].startswith("The pick-up is not in the file's month")
    raw = json.loads(stray["raw"])
    assert raw["pickup_datetime"] == "2009-01-01 00:00:00"
    assert raw["fare_amount"] == 8.0
    assert not {"ehail_fee", "source_row", "_flags", "new"} & raw.keys()
    assert duplicate["reasons"] == ["exact_duplicate"]
    assert json.loads(duplicate["raw"])["new"] == "x"
    assert (quote["reasons"], quote["column_name"], quote["raw"]) == (["unreadable"], None, text[7])


def test_both_files_are_in_the_order_of_the_source_and_share_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_blocks(monkeypatch, 700)
    files = parquet_month(green_csv(tmp_path / "green.csv", many(300)), tmp_path, threads=4)
    trips = [row["source_row"] for row in rows_of(files, "trips.parquet")]
    quarantine = [row["source_row"] for row in rows_of(files, "quarantine.parquet")]
    assert trips == sorted(trips)
    assert quarantine == sorted(quarantine)
    assert sorted(trips + quarantine) == list(range(1, 301))
    assert (len(trips), len(quarantine)) == (files.trips, files.rows_quarantined)


def test_unreadable_rows_at_the_end_are_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_blocks(monkeypatch, 300)
    files = parquet_month(green_csv(tmp_path / "green.csv", [BROKEN] * 5 + [{}] + [BROKEN] * 9), tmp_path)
    assert [row["source_row"] for row in rows_of(files, "trips.parquet")] == [6]
    assert len(rows_of(files, "quarantine.parquet")) == 14


def contents(files: MonthFiles) -> dict[str, bytes]:
    return {name: (files.folder / name).read_bytes() for name in (*FILES, "manifest.json")}


def as_csv(folder: Path) -> SourceFile:
    return green_csv(folder / "green.csv", many(200))


def as_parquet(folder: Path) -> SourceFile:
    table = pq.read_table(parquet_month(as_csv(folder), folder / "made").trips_path)
    renamed = {"pickup_datetime": "lpep_pickup_datetime", "dropoff_datetime": "lpep_dropoff_datetime"}
    table = table.rename_columns([renamed.get(name, name) for name in table.column_names])
    pq.write_table(table.drop_columns(["flags", "reversal_source_row"]), folder / "green.parquet")
    return source_file(folder / "green.parquet")


@pytest.mark.parametrize("make", [as_csv, as_parquet])
def test_the_same_file_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], SourceFile]
) -> None:
    source = make(tmp_path)
    in_blocks(monkeypatch, 1000)
    monkeypatch.setattr(ParquetReader.__init__, "__defaults__", (15,))
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 40)
    first = contents(parquet_month(source, tmp_path / "first", threads=1))
    for run, threads in enumerate((1, 2, 4)):
        assert contents(parquet_month(source, tmp_path / f"{run}", threads=threads)) == first


def test_other_blocks_give_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = green_csv(tmp_path / "green.csv", many(200))
    first = parquet_month(source, tmp_path / "whole")
    for block_bytes in (300, 5000):
        in_blocks(monkeypatch, block_bytes)
        other = parquet_month(source, tmp_path / f"{block_bytes}", threads=2)
        for name in ("trips.parquet", "quarantine.parquet"):  # sums of the report differ in the last digit
            ours, theirs = (pq.read_table(files.folder / name) for files in (first, other))
            assert theirs.equals(ours, check_metadata=True)


def test_row_groups_are_of_one_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_blocks(monkeypatch, 900)
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 40)
    files = parquet_month(green_csv(tmp_path / "green.csv", [{}] * 100), tmp_path)
    metadata = pq.ParquetFile(files.trips_path).metadata
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [40, 40, 20]
    column = metadata.row_group(0).column(metadata.schema.names.index("pickup_datetime"))
    assert column.compression == "ZSTD"
    assert column.statistics.min.isoformat() == "2020-04-10T08:00:00"


def test_every_file_names_its_source_and_version(tmp_path: Path) -> None:
    files = parquet_month(green_csv(tmp_path / "green.csv", [{}, STRAY]), tmp_path)
    for name in FILES:
        metadata = pq.read_schema(files.folder / name).metadata
        assert metadata[b"service"] == b"green"
        assert metadata[b"month"] == b"2020-04"
        assert metadata[b"source_sha256"].decode() == files.source.sha256
        assert metadata[b"version"].decode() == files.version


def test_the_manifest_is_the_month(tmp_path: Path) -> None:
    files = parquet_month(green_csv(tmp_path / "green.csv", [{}, STRAY, BROKEN]), tmp_path)
    assert read_month(files.folder) == files
    manifest = json.loads((files.folder / "manifest.json").read_text())
    assert (manifest["service"], manifest["month"], manifest["version"]) == (
        "green",
        "2020-04",
        files.version,
    )
    assert (manifest["rows_in"], manifest["trips"]) == (3, 1)
    assert manifest["quarantined"] == {"unreadable": 1, "outside_month": 1}
    written = {name: source_file(files.folder / name) for name in FILES}
    assert manifest["objects"] == {
        name: {"sha256": file.sha256, "size": file.size} for name, file in written.items()
    }
    elsewhere = shutil.copytree(files.folder, tmp_path / "elsewhere")
    moved = read_month(elsewhere)
    assert moved == files
    assert moved.folder == elsewhere


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"service": "green"}', '{"nothing": "known"}'])
def test_a_folder_without_a_whole_manifest_is_no_month(tmp_path: Path, content: str) -> None:
    files = parquet_month(green_csv(tmp_path / "green.csv", [{}]), tmp_path)
    (files.folder / "manifest.json").write_text(content)
    assert read_month(files.folder) is None


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_folder_without_one_of_its_files_is_no_month(tmp_path: Path, name: str) -> None:
    files = parquet_month(green_csv(tmp_path / "green.csv", [{}]), tmp_path)
    (files.folder / name).unlink()
    assert read_month(files.folder) is None


@pytest.mark.parametrize("moved_before", range(4))
def test_a_crash_between_two_files_leaves_no_month(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved_before: int
) -> None:
    source = green_csv(tmp_path / "green.csv", many(30))
    clean = cleaned(source, tmp_path / "scratch")
    moved: list[Path] = []
    replace = Path.replace

    def fail(part: Path, target: Path) -> Path:
        if len(moved) == moved_before:
            raise OSError(28, "No space left on device")
        moved.append(target)
        return replace(part, target)

    folder = tmp_path / "month"
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match="No space"):
            write_month(clean, project_rules(Service.GREEN), folder)
    assert read_month(folder) is None
    assert not (folder / "manifest.json").exists()
    assert sorted(folder.iterdir()) == sorted(moved)  # whole files under their names, and no others
    whole = write_month(clean, project_rules(Service.GREEN), folder)
    assert read_month(folder) == whole
    assert len(list(folder.iterdir())) == 4


@pytest.mark.parametrize(
    "change", [{"trips": 19, "rows_in": 20}, {"rows_in": 21}, {"quarantined": {"outside_month": 1}}]
)
def test_nothing_is_written_when_rows_are_missing(tmp_path: Path, change: dict[str, Any]) -> None:
    clean = dataclasses.replace(
        cleaned(green_csv(tmp_path / "green.csv", [{}] * 20), tmp_path / "scratch"), **change
    )
    folder = tmp_path / "month"
    with pytest.raises(
        TaxiError, match=r"^green 2020-04: .* rows came in, but 20 trips and 0 quarantined rows went out"
    ):
        write_month(clean, project_rules(Service.GREEN), folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "lines", [[STRAY], [BROKEN], [STRAY, BROKEN] * 3], ids=["strays", "unreadable", "both"]
)
def test_a_month_may_have_no_trips(tmp_path: Path, lines: list[dict[str, str]]) -> None:
    files = parquet_month(green_csv(tmp_path / "green.csv", lines), tmp_path)
    trips = pq.read_table(files.trips_path)
    assert len(trips) == 0
    assert trips.schema.equals(arrow_schema(trip_columns(Service.GREEN)))
    assert len(rows_of(files, "quarantine.parquet")) == len(lines)
    assert pq.read_schema(files.quality_path).equals(arrow_schema(QUALITY))
