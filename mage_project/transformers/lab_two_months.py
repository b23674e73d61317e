import pandas as pd

from mage_project.utils import trips
from nyc_taxi.errors import TaxiError
from nyc_taxi.model.months import Month

if "transformer" not in globals():
    from mage_ai.data_preparation.decorators import transformer


@transformer
def lab_two_months(days, *args, **variables):
    """Put the trips per day of the month before, if it is loaded, beside those of `lab_days`."""
    before = Month.parse(variables["month"]) - 1
    try:
        times = trips(variables["service"], str(before), columns=["pickup_datetime"], generated=True)
        earlier = times["pickup_datetime"].dt.day.value_counts()
    except TaxiError as error:
        print(f"{before} is left out: {error}")  # noqa: T201
        earlier = pd.Series(dtype="int64")
    both = days[["day"]].assign(this_month=days["trips"], month_before=days["day"].map(earlier))
    return both.fillna({"month_before": 0}).astype("int64")
