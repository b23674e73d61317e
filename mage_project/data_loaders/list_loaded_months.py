import pandas as pd

from nyc_taxi.pipelines.requests import destinations
from nyc_taxi.reporting import status
from nyc_taxi.settings import load_settings

if "data_loader" not in globals():
    from mage_ai.data_preparation.decorators import data_loader


@data_loader
def list_loaded_months(*args, **variables):
    """List what every destination holds of every month, the newest months first."""
    settings = load_settings()
    months = status.collect(destinations(variables, settings), settings, variables.get("source") or None)
    return pd.DataFrame(status.by_destination(months), columns=status.COLUMNS)
