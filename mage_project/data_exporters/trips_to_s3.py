from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.loading import assert_recorded, load_month

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_exporter
def trips_to_s3(data, *args, **variables):
    """The month's Parquet into an S3 bucket, object by object, the manifest last.

    Nothing happens without S3_BUCKET.

    Outputs: the first trips; a reference to the files (MonthFiles) and to what was loaded.
    """
    return load_month("trips_to_s3", {"s3"}, data, variables)


@test
def test_ledger_names_the_version_loaded(rows, reference, **variables):
    assert_recorded(reference)
    assert_safe_preview(rows)
