from mage_project.utils import trips
from nyc_taxi.errors import TaxiError
from nyc_taxi.model.months import Month

if "data_loader" not in globals():
    from mage_ai.data_preparation.decorators import data_loader


@data_loader
def lab_two_months(*args, **variables):
    """Count the trips of the month by day, beside those of the month before if that is loaded."""

    def by_day(month):
        times = trips(variables["service"], str(month), columns=["pickup_datetime"], generated=True)
        return times["pickup_datetime"].dt.day.value_counts().sort_index()

    month = Month.parse(variables["month"])
    counts = by_day(month).rename_axis("day").rename("this_month").reset_index()
    try:
        earlier = by_day(month - 1)
    except TaxiError as error:
        print(f"the month before is left out: {error}")  # noqa: T201
        return counts.assign(month_before=0)
    return counts.assign(month_before=counts["day"].map(earlier).fillna(0).astype("int64"))
