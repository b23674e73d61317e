import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from nyc_taxi.errors import NotTripData, RuleError, SchemaError
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import CleanMonth
from nyc_taxi.settings import PROJECT
from nyc_taxi.transform import clean
from nyc_taxi.transform.read import csv, parquet
from nyc_taxi.transform.read.csv import CsvReader
from nyc_taxi.transform.rule_checks import load_rules
from nyc_taxi.transform.rules import Rule, Rules
from nyc_taxi.transform.version import month_version
from tests.support.builders import GREEN_TRIP, cleaned, green_csv, project_rules, source_file

BROKEN = {"total_amount": "1O.80"}
STRAY = {"lpep_pickup_datetime": "2009-01-01 00:00:00"}
BACKWARDS = {"lpep_dropoff_datetime": "2020-04-09 09:30:00"}


def rows(count: int) -> list[dict[str, str]]:
    return [{} for _ in range(count)]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of some ten rows, so that a small file has many."""
    monkeypatch.setattr(CsvReader.__init__, "__defaults__", (1500,))


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".csv")


def test_every_row_is_counted_once(tmp_path: Path) -> None:
    twice = {"lpep_pickup_datetime": "2020-04-10 09:00:00", "fare_amount": "-1"}
    lines = [
        {},
        BROKEN,
        STRAY,
        {**STRAY, **BACKWARDS},
        BACKWARDS,
        twice,
        twice,
        {"passenger_count": "0"},
        BROKEN,
    ]
    month = cleaned(green_csv(tmp_path / "green.csv", lines), tmp_path / "scratch")
    assert month.rows_in == 9
    assert month.trips == 3
    assert month.quarantined == {
        "unreadable": 2,
        "outside_month": 2,  # of several reasons the first in the order of the rules
        "dropoff_before_pickup": 1,
        "exact_duplicate": 1,
    }
    assert list(month.quarantined) == [
        "unreadable",
        "outside_month",
        "dropoff_before_pickup",
        "exact_duplicate",
    ]
    assert month.flagged == {"no_passengers": 1, "negative_fare": 1}  # not the duplicate's
    assert month.rows_in == month.trips + month.rows_quarantined
    assert month.folder == tmp_path / "scratch"
    assert CleanMonth.from_dict(month.to_dict()) == month


@pytest.mark.parametrize("lines", [[BROKEN], [STRAY], [STRAY, BROKEN, BACKWARDS] * 5], ids=["1", "2", "many"])
def test_a_month_may_have_no_trips(tmp_path: Path, lines: list[dict[str, str]]) -> None:
    month = cleaned(green_csv(tmp_path / "green.csv", lines), tmp_path / "scratch")
    assert (month.rows_in, month.trips, month.rows_quarantined) == (len(lines), 0, len(lines))


def test_unknown_columns_are_named(tmp_path: Path) -> None:
    month = cleaned(green_csv(tmp_path / "green.csv", [{"Flags": "x", "New Fee": "1"}]), tmp_path / "scratch")
    assert month.unknown_columns == ["flags_in_file", "new_fee"]


@pytest.mark.parametrize("share", [0.0, 0.19])
def test_too_many_unreadable_rows_refuse_the_file(tmp_path: Path, share: float) -> None:
    source = green_csv(tmp_path / "green.csv", [*rows(4), BROKEN])
    with pytest.raises(NotTripData) as caught:
        cleaned(source, tmp_path / "scratch", max_unreadable=share)
    assert str(caught.value) == (
        "green.csv: 1 of 5 rows cannot be read (the first: total_amount is '1O.80', which is no number);"
        " the file is damaged or was rewritten by another program."
        " Fetch it from TLC, or raise TAXI_MAX_UNREADABLE to load the rest."
    )
    assert left_in(tmp_path) == []
    assert cleaned(source, tmp_path / "scratch", max_unreadable=0.2).quarantined == {"unreadable": 1}


def test_a_file_of_nothing_that_can_be_read_is_refused_at_its_beginning(tmp_path: Path) -> None:
    seen: list[int] = []
    source = green_csv(tmp_path / "green.csv", [BROKEN] * 3000)
    with pytest.raises(NotTripData, match="rows cannot be read"):
        cleaned(source, tmp_path / "scratch", max_unreadable=0.1, progress=seen.append)
    assert seen == []  # refused with the first block; the file has several


def test_a_file_of_very_many_unreadable_rows_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean, "MANY_UNREADABLE", 100)
    seen: list[int] = []
    source = green_csv(tmp_path / "green.csv", [*rows(1), BROKEN, BROKEN] * 3000)
    with pytest.raises(NotTripData, match="rows cannot be read"):
        cleaned(source, tmp_path / "scratch", max_unreadable=0.1, progress=seen.append)
    assert seen == []


def test_unreadable_rows_count_by_their_share_of_the_whole_file_wherever_they_are(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean, "MANY_UNREADABLE", 100)
    early = [*rows(300), *[BROKEN] * 200]  # 40% of the first block
    source = green_csv(tmp_path / "green.csv", [*early, *rows(1500)])
    month = cleaned(source, tmp_path / "scratch", max_unreadable=0.15)
    assert month.quarantined["unreadable"] == 200


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\n\r\n"])
def test_a_file_without_rows_is_refused(tmp_path: Path, end: str) -> None:
    source = green_csv(tmp_path / "green.csv", [], end)
    with pytest.raises(
        NotTripData, match=r"^green\.csv: has a header but no rows; download the file again\.$"
    ):
        cleaned(source, tmp_path / "scratch")
    assert left_in(tmp_path) == []


def test_a_parquet_file_without_rows_is_refused(tmp_path: Path) -> None:
    names = ("lpep_pickup_datetime", "lpep_dropoff_datetime", "trip_distance", "fare_amount", "total_amount")
    path = tmp_path / "green.parquet"
    pq.write_table(pa.table({name: pa.nulls(0) for name in names}), path)
    with pytest.raises(NotTripData, match="has a header but no rows"):
        cleaned(source_file(path), tmp_path / "scratch")


def test_progress_tells_the_rows_read(tmp_path: Path, small_blocks: None) -> None:
    seen: list[int] = []
    source = green_csv(tmp_path / "green.csv", [*rows(100), BROKEN, *rows(100)])
    cleaned(source, tmp_path / "scratch", threads=3, progress=seen.append)
    assert seen == sorted(set(seen))
    assert seen[-1] == 201
    assert len(seen) > 10


@pytest.mark.parametrize("step", ["match_rows", "open_month"])
def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*_: object) -> None:
        raise SchemaError("for some reason")

    source = green_csv(tmp_path / "green.csv", rows(3))
    with monkeypatch.context() as patched:
        patched.setattr(clean, step, fail)
        with pytest.raises(SchemaError, match="for some reason"):
            cleaned(source, tmp_path / "scratch")
    assert left_in(tmp_path) == []
    assert cleaned(source, tmp_path / "scratch").trips == 3


def test_a_failure_in_a_thread_reaches_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_blocks: None
) -> None:
    parse = CsvReader.parse

    def fail_late(self: CsvReader, block: bytes) -> Any:
        if b"fail here" in block:
            raise SchemaError("in a thread")
        return parse(self, block)

    monkeypatch.setattr(CsvReader, "parse", fail_late)
    source = green_csv(tmp_path / "green.csv", [*rows(200), {"store_and_fwd_flag": "fail here"}, *rows(200)])
    with pytest.raises(SchemaError, match="in a thread"):
        cleaned(source, tmp_path / "scratch", threads=4)
    assert left_in(tmp_path) == []


def test_two_at_once_end_with_one_folder(tmp_path: Path) -> None:
    source = green_csv(tmp_path / "green.csv", rows(20))
    done: list[CleanMonth] = []

    def the_other(_: int) -> None:
        if not done:
            done.append(cleaned(source, tmp_path / "scratch"))

    month = cleaned(source, tmp_path / "scratch", progress=the_other)
    assert done == [month]
    assert left_in(tmp_path) == ["scratch"]


CLEAN = """
import sys
from pathlib import Path
from tests.support.builders import cleaned, source_file

def pause(rows):
    print("read", flush=True)
    sys.stdin.read()

folder = Path(sys.argv[1])
cleaned(source_file(folder / "green.csv"), folder / "scratch", progress=pause)
"""


def test_killed_while_cleaning_the_next_run_is_not_misled(tmp_path: Path) -> None:
    source = green_csv(tmp_path / "green.csv", rows(20))
    command = [sys.executable, "-c", CLEAN, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT
    ) as victim:
        assert cast(TextIO, victim.stdout).readline() == "read\n"
        victim.kill()
    assert victim.returncode == -signal.SIGKILL
    left = left_in(tmp_path)
    assert len(left) == 1
    assert left[0].endswith(".part")
    assert cleaned(source, tmp_path / "scratch").trips == 20
    assert left_in(tmp_path) == ["scratch", *left]


def test_the_version_names_source_rules_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(source_rows: int = 3, rules: Rules | None = None) -> str:
        source = green_csv(tmp_path / "green.csv", rows(source_rows))
        return month_version(source, rules or project_rules(Service.GREEN))

    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"rules": []}))
    first = version()
    assert version() == first
    others = {version(4), version(rules=load_rules(path, Service.GREEN))}
    monkeypatch.setattr("nyc_taxi.transform.version.METHOD_VERSION", 99)
    others.add(version())
    assert len({first, *others}) == 4


def test_the_month_is_read_once_and_by_the_fast_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work of the hot path: text is parsed once, by Arrow, and the file read once but for its head."""
    read_bytes = 0

    class Counted:
        def __init__(self, stream: BinaryIO) -> None:
            self._stream = stream

        def __enter__(self) -> "Counted":
            return self

        def __exit__(self, *_: object) -> None:
            self._stream.close()

        def read(self, size: int) -> bytes:
            nonlocal read_bytes
            data = self._stream.read(size)
            read_bytes += len(data)
            return data

    def fail(*_: object) -> None:
        raise AssertionError

    opened = csv.open_csv
    monkeypatch.setattr(csv, "open_csv", lambda path: Counted(opened(path)))
    monkeypatch.setattr(CsvReader, "_parse_text", fail)
    source = green_csv(tmp_path / "green.csv", rows(3000))
    cleaned(source, tmp_path / "scratch", threads=2)
    head = csv._HEAD_BYTES
    assert source.size > 4 * head
    assert source.size <= read_bytes <= source.size + head


def test_a_parquet_month_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    file = parquet.pq.ParquetFile

    def count(path: Path, **options: Any) -> Any:
        opened.append(path)
        return file(path, **options)

    numbers = pa.array([1.0, 2.0])
    times = pa.array([Month(2020, 4).start] * 2)
    columns = {name: numbers for name in GREEN_TRIP if name.endswith(("amount", "distance"))}
    table = pa.table({**columns, "lpep_pickup_datetime": times, "lpep_dropoff_datetime": times})
    path = tmp_path / "green.parquet"
    pq.write_table(table, path)
    monkeypatch.setattr(parquet.pq, "ParquetFile", count)
    cleaned(source_file(path), tmp_path / "scratch")
    assert opened.count(path) == 2  # for its schema, and for its rows


IMPORTS = """
import sys
from pathlib import Path
from nyc_taxi.cli.pandas_import import keep_pandas_out
keep_pandas_out()
from tests.support.builders import parquet_month, source_file

folder = Path(sys.argv[1])
assert parquet_month(source_file(folder / "green.csv"), folder).trips == 20
print([name for name in ("pandas", "matplotlib", "google.auth", "boto3", "psycopg2") if name in sys.modules])
"""


def test_no_dataframes_and_no_services_are_loaded_on_the_way(tmp_path: Path) -> None:
    green_csv(tmp_path / "green.csv", rows(20))
    command = [sys.executable, "-c", IMPORTS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_a_rule_that_fails_on_a_row_is_named(tmp_path: Path) -> None:
    rules = project_rules(Service.GREEN)
    broken = Rule(
        name="stored", action="flag", when="CAST(store_and_fwd_flag AS INT) > 3", why="It was stored."
    )
    source = green_csv(tmp_path / "green.csv", rows(4))
    with pytest.raises(RuleError, match=r"^rule 'stored' fails on rows of green\.csv \(Conversion Error"):
        cleaned(source, tmp_path / "scratch", Rules(Service.GREEN, (*rules.rules, broken)))
    assert left_in(tmp_path) == []
