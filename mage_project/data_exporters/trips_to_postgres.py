import pyarrow.parquet as pq

from mage_project.utils.checks import assert_safe_preview, parquet_of, rows_in_postgres
from mage_project.utils.loading import assert_recorded, load_month
from mage_project.utils.references import reference_of

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_exporter
def trips_to_postgres(data, *args, **variables):
    """Replace the month in its Postgres table and write the ledger entry, in one transaction.

    Does nothing if the table already holds this version of the month.

    Returns a random sample of the trips.
    """
    return load_month("trips_to_postgres", data, variables)


@test
def test_table_has_as_many_trips_as_the_parquet(rows, *args, **variables):
    reference = reference_of(rows)
    files = parquet_of(reference["files"])
    if reference["loaded"]:
        expected = pq.read_metadata(files.trips_path).num_rows
        count = rows_in_postgres(files.service, files.month)
        assert count == expected, f"the table has {count} trips of {files.month}, the Parquet {expected}."


@test
def test_ledger_names_the_version_loaded(rows, *args, **variables):
    assert_recorded(reference_of(rows))
    assert_safe_preview(rows)
