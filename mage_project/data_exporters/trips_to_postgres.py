import pyarrow.parquet as pq

from mage_project.utils.checks import assert_safe_preview, rows_in_postgres
from mage_project.utils.steps import step
from mage_project.utils.variables import run_of
from nyc_taxi import flow, preview
from nyc_taxi.reference import MonthFiles

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
    files = MonthFiles.from_dict(data[1])
    with step("trips_to_postgres") as current:
        loaded = flow.load(files, "postgres", run_of(variables), progress=current.progress)
        facts = {"describe": loaded.describe, "skipped": loaded.skipped, "seconds": loaded.seconds}
        ledger = {name: str(value) for name, value in vars(loaded.recorded).items()}
        return current.outputs(preview.trips(files), {"files": files.to_dict(), "ledger": ledger, **facts})


@test
def test_table_holds_what_the_parquet_holds(rows, reference, **variables):
    files = MonthFiles.from_dict(reference["files"])
    expected = pq.read_metadata(files.trips_path).num_rows
    found = rows_in_postgres(files.service, files.month)
    assert found == expected, f"the table has {found} trips of {files.month}, the Parquet {expected}."
    assert_safe_preview(rows)


@test
def test_ledger_names_the_version_loaded(rows, reference, **variables):
    loaded, files = reference["ledger"]["version"], reference["files"]["version"]
    assert loaded == files, f"the ledger says version {loaded}, the Parquet is version {files}."
