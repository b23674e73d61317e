"""The variables of bikeshare_stations, and figures that its tests query from the warehouse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from mage_project.utils.variables import execution_day
from nyc_taxi.errors import SettingsError
from nyc_taxi.pipelines.bikeshare.flow import POLL, load_config, parse_day
from nyc_taxi.pipelines.bikeshare.warehouse import open_warehouse


def day_of(variables: Mapping[str, Any]) -> dt.date:
    """The variable `day`; without it the day before the run's execution_date."""
    value = variables.get("day")
    return parse_day(value) if value else execution_day(variables) - dt.timedelta(days=1)


def waiting_of(variables: Mapping[str, Any]) -> tuple[float, float]:
    """The variables `wait` and `poll`, in seconds."""
    try:
        return float(variables.get("wait") or 0), float(variables.get("poll") or POLL)
    except ValueError:
        raise SettingsError(
            f"wait {variables.get('wait')!r} and poll {variables.get('poll')!r} must be numbers of seconds."
        ) from None


def number(query: str, day: str) -> int:
    """Run a query for a single number; `{name}` stands for a table, `@day` for the day."""
    warehouse = open_warehouse(load_config())
    names = ("raw_stations", "raw_trips", "dim_stations", "fact_trips_daily", "top_stations_daily")
    sql = query.format(**{name: warehouse.qualified(name) for name in names})
    [row] = warehouse.rows(f"SELECT ({sql}) AS number", {"day": parse_day(day)})
    return int(row["number"] or 0)
