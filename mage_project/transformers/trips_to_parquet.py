import shutil

import pyarrow.parquet as pq

from mage_project.utils.checks import assert_safe_preview, sha256
from mage_project.utils.steps import step
from mage_project.utils.variables import context_of
from nyc_taxi.model.references import CleanMonth, MonthFiles
from nyc_taxi.pipelines import trips
from nyc_taxi.reporting import preview
from nyc_taxi.schema import trip_columns

if "transformer" not in globals():
    from mage_ai.data_preparation.decorators import transformer
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@transformer
def trips_to_parquet(data, *args, **variables):
    """The month as Parquet: trips, quarantine and quality, with a manifest written last.

    The same file and rules give the same bytes, on any machine and through any orchestrator.

    Outputs: the first trips; a reference to the files (MonthFiles).
    """
    clean = CleanMonth.from_dict(data[1])
    with step("trips_to_parquet", context_of(variables, data[1])) as current:
        files = trips.to_parquet(clean)
        shutil.rmtree(clean.folder, ignore_errors=True)  # scratch: all of it is in the Parquet files now
        return current.outputs(preview.trips(files), files)


@test
def test_files_are_those_of_the_manifest(rows, reference, **variables):
    files = MonthFiles.from_dict(reference)
    for name, expected in files.sha256.items():
        found = sha256(files.folder / name)
        assert found == expected, f"{files.folder / name} has SHA-256 {found}, the manifest says {expected}."


@test
def test_schema_is_the_canonical_one(rows, reference, **variables):
    files = MonthFiles.from_dict(reference)
    found = pq.read_schema(files.trips_path)
    for column in trip_columns(files.service):
        assert column.name in found.names, f"{files.trips_path} lacks the column {column.name}."
        type_found = found.field(column.name).type
        assert type_found == column.arrow.type, f"{column.name} is {type_found}, not {column.arrow.type}."
    assert_safe_preview(rows)


@test
def test_parquet_holds_every_row(rows, reference, **variables):
    files = MonthFiles.from_dict(reference)
    trips = pq.read_metadata(files.trips_path).num_rows
    quarantined = pq.read_metadata(files.quarantine_path).num_rows
    assert (trips, quarantined) == (files.trips, files.rows_quarantined), (
        f"the Parquet files hold {trips} trips and {quarantined} quarantined rows, "
        f"not {files.trips} and {files.rows_quarantined}."
    )
