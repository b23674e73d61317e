import pandas as pd

import nyc_taxi

if "data_loader" not in globals():
    from mage_ai.data_preparation.decorators import data_loader


@data_loader
def lab_quarantine(*args, **variables):
    """Count all quarantined rows of the month by rule; a row may have several reasons."""
    rows = nyc_taxi.read_quarantine(
        variables["service"], variables["month"], columns=["reasons"], as_="pandas", generated=True
    )
    counts = rows["reasons"].explode().value_counts()
    return pd.DataFrame({"rule": counts.index.astype(str), "rows": counts.to_numpy()})
