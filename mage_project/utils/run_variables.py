"""Months to load, as blocks pass them on to `start_taxi_trips`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from nyc_taxi.model.months import Month, Service
from nyc_taxi.pipelines.requests import accepts


def run_variables(
    months: Iterable[tuple[Service, Month, str]], variables: Mapping[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A block's two outputs: the months (service, month, why) as a table, and `runs`: variables by run.

    Source, destinations and `accept` are those of the `variables`; an empty string stands for the default.
    """
    rows = [{"service": str(service), "month": str(month), "why": why} for service, month, why in months]
    common: dict[str, Any] = {name: str(variables.get(name) or "") for name in ("source", "destinations")}
    if accepts(variables):
        common["accept"] = True
    runs = [{"service": row["service"], "month": row["month"], **common} for row in rows]
    return pd.DataFrame(rows, columns=["service", "month", "why"]), {"runs": runs}
