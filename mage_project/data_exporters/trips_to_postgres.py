import pyarrow.parquet as pq

from mage_project.utils.checks import assert_safe_preview, rows_in_postgres
from mage_project.utils.loading import assert_recorded, load_month
from nyc_taxi.model.references import MonthFiles

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_exporter
def trips_to_postgres(data, *args, **variables):
    """The month into its table in Postgres, all or nothing, and into the ledger.

    Nothing is loaded when the table holds this version of the month already.

    Outputs: the first trips; a reference to the files (MonthFiles) and to what was loaded.
    """
    return load_month("trips_to_postgres", {"postgres"}, data, variables)


@test
def test_table_holds_what_the_parquet_holds(rows, reference, **variables):
    files = MonthFiles.from_dict(reference["files"])
    if reference["destination"]:
        expected = pq.read_metadata(files.trips_path).num_rows
        found = rows_in_postgres(files.service, files.month)
        assert found == expected, f"the table has {found} trips of {files.month}, the Parquet {expected}."


@test
def test_ledger_names_the_version_loaded(rows, reference, **variables):
    assert_recorded(reference)
    assert_safe_preview(rows)
