"""Create load requests from the text values of users and schedulers, most of them empty.

The command line, Mage and Airflow share this module, so that defaults are the same everywhere.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from nyc_taxi.errors import SettingsError
from nyc_taxi.load.registry import parse_names
from nyc_taxi.model.months import Month, Service, expected_last
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.model.run import RunContext
from nyc_taxi.pipelines.pending import newest_published
from nyc_taxi.settings import Settings

DEFAULT_SERVICE = Service.GREEN
DEFAULT_SERVICES = "yellow,green"
"""Services that scheduled runs load."""


def make_request(values: Mapping[str, Any], settings: Settings, day: dt.date | None = None) -> LoadRequest:
    """Parse `service`, `month`, `source`, `destinations`, `accept` and `force`; empty values get defaults.

    The default month is the newest that the source has published on `day` (today by default). Raises
    SettingsError naming an invalid value, and SourceUnreachable.
    """
    service = Service.parse(values.get("service") or DEFAULT_SERVICE)
    source = str(values.get("source") or settings.source)
    if values.get("month"):
        month = Month.parse(values["month"])
    else:
        month = newest_published(service, expected_last(day or today()), source, settings)
    return LoadRequest(
        service,
        month,
        source,
        tuple(destinations(values, settings)),
        accepts(values),
        _boolean(values, "force"),
    )


def destinations(values: Mapping[str, Any], settings: Settings) -> list[str]:
    """Parse the value `destinations`, by default TAXI_DESTINATIONS."""
    return parse_names(str(values.get("destinations") or settings.destinations), settings)


def limit(context: RunContext, names: Iterable[str]) -> RunContext:
    """Return the context of a run into `names`, recorded unless they are all of TAXI_DESTINATIONS."""
    selected = tuple(names)
    is_limited = not {*destinations({}, context.settings)} <= {*selected}
    return replace(context, run=replace(context.run, destinations=selected if is_limited else ()))


def accepts(values: Mapping[str, Any]) -> bool:
    """Parse the value `accept`, whether to load an implausible month; raises SettingsError."""
    return _boolean(values, "accept")


def _boolean(values: Mapping[str, Any], name: str) -> bool:
    text = str(values.get(name) or "false").strip().lower()
    if text not in ("true", "false", "1", "0", "yes", "no"):
        raise SettingsError(f"{name} {text!r} is neither true nor false.")
    return text in ("true", "1", "yes")


def services(values: Mapping[str, Any]) -> list[Service]:
    """Parse the value `services`: names separated by commas."""
    return Service.parse_several(str(values.get("services") or DEFAULT_SERVICES))


def today() -> dt.date:
    """Return the current day in UTC."""
    return dt.datetime.now(dt.UTC).date()
