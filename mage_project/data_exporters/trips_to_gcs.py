from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.loading import assert_recorded, load_month
from mage_project.utils.references import reference_of

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_exporter
def trips_to_gcs(data, *args, **variables):
    """Upload the month's Parquet files to the bucket; the manifest is written last.

    Without GCS_BUCKET, the GCS emulator holds the bucket.

    Returns a random sample of the trips.
    """
    return load_month("trips_to_gcs", data, variables)


@test
def test_ledger_names_the_version_loaded(rows, *args, **variables):
    assert_recorded(reference_of(rows))
    assert_safe_preview(rows)
