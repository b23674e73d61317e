import pyarrow.parquet as pq

from mage_project.utils.checks import assert_safe_preview, parquet_of, sha256
from mage_project.utils.loading import month_files
from mage_project.utils.references import input_reference, reference_of
from mage_project.utils.steps import step
from mage_project.utils.variables import log_context, run_context
from nyc_taxi.model.references import CleanMonth
from nyc_taxi.pipelines.plausibility import review
from nyc_taxi.pipelines.requests import accepts, destinations
from nyc_taxi.pipelines.trips.clean import discard_scratch, staged
from nyc_taxi.pipelines.trips.refine import to_parquet
from nyc_taxi.reporting import preview
from nyc_taxi.schema import trip_columns
from nyc_taxi.schema.arrow import ARROW_TYPES

if "transformer" not in globals():
    from mage_ai.data_preparation.decorators import transformer
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@transformer
def trips_to_parquet(data, *args, **variables):
    """Write the month as Parquet: trips, quarantine and quality, then the manifest.

    Refuses a month that looks like a wrong or truncated file, unless the variable `accept` is true.
    The same raw file and rules yield the same bytes, on any machine and with any orchestrator.

    Returns a random sample of the quarantined rows and of the trips.
    """
    context = run_context(variables)
    reference = input_reference(data)
    clean = staged(CleanMonth.from_dict(reference), context.settings)
    with step("trips_to_parquet", log_context(variables, reference)) as current:
        review(
            clean, destinations(variables, context.settings), context, accept=accepts(variables), unread={}
        )
        files = to_parquet(clean, context.settings)
        discard_scratch(clean)
        return current.output(preview.month(month_files(files.to_dict()), context.settings), files)


@test
def test_files_are_those_of_the_manifest(rows, *args, **variables):
    files = parquet_of(reference_of(rows))
    for name, known in files.objects.items():
        checksum = sha256(files.folder / name)
        assert checksum == known.sha256, (
            f"{files.folder / name} has SHA-256 {checksum}, the manifest says {known.sha256}."
        )


@test
def test_schema_is_the_canonical_one(rows, *args, **variables):
    files = parquet_of(reference_of(rows))
    schema = pq.read_schema(files.trips_path)
    for column in trip_columns(files.service):
        assert column.name in schema.names, f"{files.trips_path} lacks the column {column.name}."
        actual, expected = schema.field(column.name).type, ARROW_TYPES[column.type]
        assert actual == expected, f"{column.name} is {actual}, not {expected}."
    assert_safe_preview(rows)


@test
def test_parquet_holds_every_row(rows, *args, **variables):
    files = parquet_of(reference_of(rows))
    trips = pq.read_metadata(files.trips_path).num_rows
    quarantined = pq.read_metadata(files.quarantine_path).num_rows
    assert (trips, quarantined) == (files.trips, files.rows_quarantined), (
        f"the Parquet files hold {trips} trips and {quarantined} quarantined rows, "
        f"not {files.trips} and {files.rows_quarantined}."
    )
