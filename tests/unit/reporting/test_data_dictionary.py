import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nyc_taxi.model.months import Service
from nyc_taxi.reporting.data_dictionary import MEASURES, PATH, text, write
from nyc_taxi.schema import service_columns
from nyc_taxi.schema.arrow import ARROW_TYPES
from tests.support.builders import green_csv, parquet_month


def test_the_dictionary_says_what_the_schema_says(tmp_path: Path) -> None:
    write(tmp_path / "made" / "dictionary.md")
    assert PATH.read_text() == text() == (tmp_path / "made" / "dictionary.md").read_text(), (
        "write it again: python -m nyc_taxi.reporting.data_dictionary"
    )


@pytest.mark.parametrize("service", Service)
def test_each_service_has_its_columns_with_all_that_is_known(service: Service) -> None:
    section = text().split(f"## Trips of {service}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    columns = service_columns(service)
    assert len(rows) == len(columns)
    for row, column in zip(rows, columns, strict=True):
        assert row.startswith(f"| `{column.name}` | `{ARROW_TYPES[column.type]}`, ")
        assert f" | {column.since} | " in row
        assert column.description in row
        for value in (*column.names[1:], *column.codes, *column.meaning.values(), column.unit):
            assert str(value) in row


def test_types_are_those_of_the_files_to_the_letter(tmp_path: Path) -> None:
    files = parquet_month(green_csv(tmp_path / "green.csv", [{"VendorID": "x"}, {}]), tmp_path)
    types = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)`", text(), re.MULTILINE))
    for path in (files.trips_path, files.quarantine_path, files.quality_path):
        for field in pq.read_schema(path):
            assert types[field.name] == str(field.type)


def test_tables_are_whole_and_no_type_passes_for_html() -> None:
    tables = re.findall(r"(?:^\|.*\n)+", text(), re.MULTILINE)
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
    outside_code = re.sub(r"`[^`]*`", "", text())
    assert set(re.findall(r"<[^>]*>?", outside_code)) == {
        "<br>",
        "<!-- Made from nyc_taxi/schema by ; change it there. -->",
    }


def test_all_that_the_quality_report_measures_is_explained(tmp_path: Path) -> None:
    lines = [{"New Fee": "1", "passenger_count": "0"}, {"lpep_pickup_datetime": "2009-01-01 00:00:00"}]
    files = parquet_month(green_csv(tmp_path / "green.csv", lines), tmp_path)
    measured = pq.read_table(files.quality_path)["measure"].to_pylist()
    assert {*measured, "derived_column"} == set(MEASURES)
