"""Each block called by itself, and its tests on outputs that are wrong."""

from __future__ import annotations

import importlib
import re

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mage_project.utils.checks import parquet_of, raw_path
from mage_project.utils.references import reference_of
from nyc_taxi.errors import Implausible, NotPublished, NotTripData, SettingsError
from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import CleanMonth, MonthFiles, SourceFile
from tests.support.blocks import output_with, parts

VARIABLES = {"service": "green", "month": "2020-04", "source": "sample:300:1"}

BLOCKS = {
    "download_trips": "data_loaders",
    "clean_trips": "transformers",
    "trips_to_parquet": "transformers",
    "trips_to_postgres": "data_exporters",
}


def block(name):
    return importlib.import_module(f"mage_project.{BLOCKS[name]}.{name}")


def call(name, *arguments, **variables):
    """A block's output."""
    return getattr(block(name), name)(*arguments, **{**VARIABLES, **variables})


def check(name, test, rows, reference):
    """One of a block's tests, as Mage calls it."""
    getattr(block(name), test)(output_with(rows, reference), **VARIABLES)


@pytest.fixture
def downloaded(here):
    return call("download_trips")


@pytest.fixture
def cleaned(downloaded):
    return call("clean_trips", downloaded)


@pytest.fixture
def written(cleaned):
    return call("trips_to_parquet", cleaned)


@pytest.fixture
def loaded(written):
    return call("trips_to_postgres", written)


def test_download_gives_the_file_and_its_first_rows(downloaded):
    rows, reference = parts(downloaded)
    assert raw_path(SourceFile.from_dict(reference)).exists()
    assert len(rows) == 300
    for test in ("test_file_is_the_one_downloaded", "test_preview_is_safe"):
        check("download_trips", test, rows, reference)


def test_a_file_changed_after_the_download_is_found_out(downloaded, tmp_path):
    rows, reference = parts(downloaded)
    changed = tmp_path / "changed.csv.gz"
    content = raw_path(SourceFile.from_dict(reference)).read_bytes()
    changed.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(AssertionError, match="has SHA-256"):
        check("download_trips", "test_file_is_the_one_downloaded", rows, {**reference, "uri": str(changed)})
    changed.write_bytes(content[:-1])
    with pytest.raises(AssertionError, match="bytes,"):
        check("download_trips", "test_file_is_the_one_downloaded", rows, {**reference, "uri": str(changed)})


def test_a_file_without_a_readable_row_is_refused_by_the_block_that_says_why(here, tmp_path):
    path = tmp_path / "green_tripdata_2020-04.csv"
    samples.write(Service.GREEN, Month(2020, 4), path, rows=20)
    path.write_text(re.sub(r"2020-(\d\d)-(\d\d) (\d\d:\d\d):\d\d", r"\1/\2/2020 \3", path.read_text()))
    rows, reference = parts(call("download_trips", source=str(tmp_path)))
    for test in ("test_file_is_the_one_downloaded", "test_preview_is_safe"):
        check("download_trips", test, rows, reference)
    with pytest.raises(NotTripData, match="rows cannot be read"):
        call("clean_trips", rows)


def test_download_says_what_is_wrong_with_its_variables(here, tmp_path):
    with pytest.raises(SettingsError, match="service 'red' is not known"):
        call("download_trips", service="red")
    with pytest.raises(NotPublished, match="green 2020-04 does not exist"):
        call("download_trips", source=str(tmp_path))


def test_clean_balances(cleaned):
    rows, reference = parts(cleaned)
    month = CleanMonth.from_dict(reference)
    assert month.rows_in == 300
    assert month.rows_quarantined > 0
    for test in ("test_every_row_is_a_trip_or_in_quarantine", "test_preview_has_the_canonical_columns"):
        check("clean_trips", test, rows, reference)


def test_a_lost_row_is_found_out_with_the_counts(cleaned):
    rows, reference = parts(cleaned)
    lossy = {**reference, "trips": reference["trips"] - 1}
    with pytest.raises(
        AssertionError, match=rf"300 rows came in, {lossy['trips']} trips and .* 1 rows are unaccounted"
    ):
        check("clean_trips", "test_every_row_is_a_trip_or_in_quarantine", rows, lossy)


def test_a_lost_column_is_found_out_by_name(cleaned):
    rows, reference = parts(cleaned)
    with pytest.raises(AssertionError, match="lack fare_amount"):
        check(
            "clean_trips",
            "test_preview_has_the_canonical_columns",
            rows.drop(columns="fare_amount"),
            reference,
        )


def test_parquet_is_what_the_manifest_says(written):
    rows, reference = parts(written)
    files = MonthFiles.from_dict(reference)
    assert set(files.objects) == {"trips.parquet", "quarantine.parquet", "quality.parquet"}
    for test in (
        "test_files_are_those_of_the_manifest",
        "test_schema_is_the_canonical_one",
        "test_parquet_holds_every_row",
    ):
        check("trips_to_parquet", test, rows, reference)


@pytest.fixture
def meddled(written):
    """The month's files with another trips.parquet, made of the right one by a function."""
    rows, reference = parts(written)
    files = parquet_of(reference)

    def meddle(change):
        pq.write_table(change(pq.read_table(files.trips_path)), files.trips_path)
        return rows, reference

    return meddle


def test_other_bytes_than_the_manifests_are_found_out(meddled):
    with pytest.raises(AssertionError, match=r"trips\.parquet has SHA-256 .*, the manifest says"):
        check("trips_to_parquet", "test_files_are_those_of_the_manifest", *meddled(lambda table: table))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns("fare_amount"), r"trips\.parquet lacks the column fare_amount"),
        (lambda table: _with_type(table, "payment_type", pa.float64()), "payment_type is double, not int16"),
    ],
)
def test_another_schema_is_found_out(meddled, change, message):
    with pytest.raises(AssertionError, match=message):
        check("trips_to_parquet", "test_schema_is_the_canonical_one", *meddled(change))


def test_a_row_missing_in_the_parquet_is_found_out(meddled):
    with pytest.raises(AssertionError, match="the Parquet files hold"):
        check("trips_to_parquet", "test_parquet_holds_every_row", *meddled(lambda table: table.slice(1)))


def _with_type(table, name, kind):
    index = table.schema.get_field_index(name)
    return table.set_column(index, name, table[name].cast(kind))


def test_loaded_twice_it_is_there_once_beside_other_months(loaded, written):
    other = {"month": "2020-05"}
    call("trips_to_postgres", call("trips_to_parquet", call("clean_trips", call("download_trips", **other))))
    again = call("trips_to_postgres", written)
    first, second = (reference_of(output)["loaded"]["postgres"] for output in (loaded, again))
    assert second["skipped"]
    assert second["ledger"] == first["ledger"]
    assert second["ledger"]["orchestrator"] == "mage"
    for test in ("test_table_has_as_many_trips_as_the_parquet", "test_ledger_names_the_version_loaded"):
        check("trips_to_postgres", test, *parts(again))


def test_a_table_that_differs_from_the_parquet_is_found_out(loaded, meddled):
    rows, reference = parts(loaded)
    _, files = meddled(lambda table: table.slice(1))
    with pytest.raises(AssertionError, match=r"the table has \d+ trips of 2020-04, the Parquet \d+"):
        check(
            "trips_to_postgres",
            "test_table_has_as_many_trips_as_the_parquet",
            rows,
            {**reference, "files": files},
        )


def test_another_version_in_the_ledger_is_found_out(loaded):
    rows, reference = parts(loaded)
    other = {**reference, "files": {**reference["files"], "version": "other"}}
    with pytest.raises(AssertionError, match="the Parquet files are version other"):
        check("trips_to_postgres", "test_ledger_names_the_version_loaded", rows, other)


def test_another_quarantine_in_the_ledger_is_found_out(loaded):
    rows, reference = parts(loaded)
    files = reference["files"]
    reason, count = next(iter(files["quarantined"].items()))
    other = {**files, "quarantined": {**files["quarantined"], reason: count + 1}}
    with pytest.raises(AssertionError, match=r"counts \d+ trips and \d+ quarantined rows, the Parquet"):
        check(
            "trips_to_postgres", "test_ledger_names_the_version_loaded", rows, {**reference, "files": other}
        )


def test_blocks_run_again_find_what_is_there(downloaded, cleaned, written, loaded):
    assert reference_of(call("download_trips")) == reference_of(downloaded)
    assert reference_of(call("clean_trips", downloaded)) == reference_of(cleaned)
    assert reference_of(call("trips_to_parquet", cleaned)) == reference_of(written)


def test_a_preview_that_mage_cannot_show_is_found_out():
    lists, many = pd.DataFrame({"flags": [[], ["a"]]}), pd.DataFrame({"a": range(1001)})
    with pytest.raises(AssertionError, match="column flags of the preview holds lists"):
        check("download_trips", "test_preview_is_safe", lists, {})
    with pytest.raises(AssertionError, match="1001 rows"):
        check("download_trips", "test_preview_is_safe", many, {})


def test_a_file_of_another_month_is_refused_until_it_is_accepted(here, tmp_path):
    path = tmp_path / "wrong.csv"
    samples.write(Service.GREEN, Month(2021, 4), path, rows=60)
    wrong = {"month": "2021-06", "source": str(path), "destinations": "postgres"}
    cleaned = call("clean_trips", call("download_trips", **wrong), **wrong)
    with pytest.raises(Implausible, match=r"looks like green 2021-04\. Nothing was loaded\. .*accept = true"):
        call("trips_to_parquet", cleaned, **wrong)
    accepted = {**wrong, "accept": True}
    outputs = call("trips_to_parquet", cleaned, **accepted)
    with pytest.raises(Implausible, match="would be quarantined"):
        call("trips_to_postgres", outputs, **wrong)
    loaded = reference_of(call("trips_to_postgres", outputs, **accepted))["loaded"]
    assert "would be quarantined" in loaded["postgres"]["ledger"]["accepted"]
