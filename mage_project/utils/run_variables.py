"""Months to load, as blocks pass them on to `start_taxi_trips`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from mage_project.utils.references import reference_of
from nyc_taxi.model.months import Month, Service
from nyc_taxi.pipelines.requests import accepts


def run_variables(
    months: Iterable[tuple[Service, Month, str]], variables: Mapping[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The months (service, month, why) as a table, and the other variables that their runs share.

    Source, destinations and `accept` are those of the `variables`; an empty string stands for the default.
    """
    rows = [{"service": str(service), "month": str(month), "why": why} for service, month, why in months]
    common: dict[str, Any] = {name: str(variables.get(name) or "") for name in ("source", "destinations")}
    if accepts(variables):
        common["accept"] = True
    return pd.DataFrame(rows, columns=["service", "month", "why"]), {"variables": common}


def runs_of(months: pd.DataFrame) -> list[dict[str, Any]]:
    """The variables of each month's run; rows of the table may have been removed."""
    common = reference_of(months)["variables"]
    return [
        {"service": service, "month": month, **common}
        for service, month in zip(months["service"], months["month"], strict=True)
    ]
