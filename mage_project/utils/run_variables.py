"""Months that runs of taxi_trips are wanted for, as blocks hand them on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from nyc_taxi.model.months import Month, Service


def wanted_months(
    months: Iterable[tuple[Service, Month, str]], variables: Mapping[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A block's two outputs: the months (service, month, why) as a table, and the variables of their runs.

    Source and destinations are those that this run was given, empty where it was given none.
    """
    rows = [{"service": str(service), "month": str(month), "why": why} for service, month, why in months]
    given = {name: str(variables.get(name) or "") for name in ("source", "destinations")}
    wanted = [{"service": row["service"], "month": row["month"], **given} for row in rows]
    return pd.DataFrame(rows, columns=["service", "month", "why"]), {"wanted": wanted}
