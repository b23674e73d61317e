from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.loading import assert_recorded, load_month
from mage_project.utils.references import reference_of

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_exporter
def trips_to_other_destinations(data, *args, **variables):
    """Load the month into every requested destination that has no block of its own.

    Currently that is S3, if S3_BUCKET is set, and any destination that you add to nyc_taxi/load/registry.py.

    Returns a random sample of the trips, or why nothing was loaded.
    """
    return load_month("trips_to_other_destinations", data, variables)


@test
def test_ledger_names_the_version_loaded(rows, *args, **variables):
    assert_recorded(reference_of(rows))
    assert_safe_preview(rows)
