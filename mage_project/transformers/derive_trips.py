import pandas as pd

from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.references import month_of
from mage_project.utils.transforms import assert_preview_is_real, derive_month
from nyc_taxi.transform.user import each_batch

if "transformer" not in globals():
    from mage_ai.data_preparation.decorators import transformer
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@each_batch
def derive_trips(trips: pd.DataFrame) -> pd.DataFrame:
    """Add columns to a batch of trips, or drop trips.

    What this function returns is loaded everywhere. It runs over the
    whole month in batches of about 50,000 trips. Each run loads an
    edited function anew. docs/transforms.md lists what it may do; for
    pyarrow or polars, change the annotations.
    """
    # Examples; remove the "# " to use them:
    #
    # trips = trips[trips["passenger_count"] > 0]
    # trips["pickup_date"] = trips["pickup_datetime"].dt.date
    # duration = trips["dropoff_datetime"] - trips["pickup_datetime"]
    # trips["minutes"] = duration.dt.total_seconds() / 60
    return trips


@transformer
def derive_trips_of_month(data, *args, **variables):
    """Apply the function above to every batch of the cleaned month.

    Returns a random sample of what is loaded: quarantined and dropped rows first, then trips.
    """
    return derive_month(derive_trips, data, variables)


@test
def test_every_row_is_a_trip_or_in_quarantine(rows, *args, **variables):
    month = month_of(rows)
    missing = month.rows_in - month.trips - month.rows_quarantined
    assert missing == 0, f"{missing} of {month.rows_in} rows are neither trips nor in quarantine."


@test
def test_preview_is_what_is_loaded(rows, *args, **variables):
    assert_preview_is_real(rows, month_of(rows))
    assert_safe_preview(rows)
