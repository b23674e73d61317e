from mage_project.utils import trips

if "data_loader" not in globals():
    from mage_ai.data_preparation.decorators import data_loader


@data_loader
def lab_fares(*args, **variables):
    """Count all trips of the month by fare, in steps of 5 dollars up to 80: a pandas block."""
    month = trips(variables["service"], variables["month"], columns=["fare_amount"], generated=True)
    dollars = month["fare_amount"].dropna().clip(-5, 80).floordiv(5).mul(5).astype("int64")
    return dollars.rename("dollars").value_counts().sort_index().rename("trips").reset_index()
