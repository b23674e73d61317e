import pandas as pd

from mage_project.utils import trips

if "data_loader" not in globals():
    from mage_ai.data_preparation.decorators import data_loader


@data_loader
def lab_fares(*args, **variables):
    """Count all trips of the month by fare, in steps of 5 dollars: a pandas block."""
    month = trips(variables["service"], variables["month"], columns=["fare_amount"], generated=True)
    dollars = month["fare_amount"].clip(-5, 80).floordiv(5).mul(5).astype("int64")
    counts = dollars.value_counts().sort_index()
    labels = [f"{low} to {low + 5}" for low in counts.index]
    if counts.index[-1] == 80:
        labels[-1] = "80 and more"
    if counts.index[0] == -5:
        labels[0] = "below 0"
    return pd.DataFrame({"fare": labels, "trips": counts.to_numpy()})
