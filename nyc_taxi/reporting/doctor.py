"""A check-up of everything a run needs, each check with what to do about a problem."""

from __future__ import annotations

import functools
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nyc_taxi.errors import TaxiError
from nyc_taxi.extract.sources import resolve
from nyc_taxi.extras import is_installed
from nyc_taxi.lake.lake import Lake
from nyc_taxi.load.registry import open_destination, parse_names
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import Settings, load_settings
from nyc_taxi.transform.rule_checks import load_rules
from nyc_taxi.transform.user.function import load_function
from nyc_taxi.transform.user.source import load_transform

_FREE_BYTES = 2 << 30
"""A large month (20 million rows) needs about this much scratch space."""


@dataclass(frozen=True)
class Check:
    """The result for one part."""

    name: str
    ok: bool
    detail: str


def checkup() -> Iterator[Check]:
    """Check every configured part; never raises an expected error."""
    try:
        settings = load_settings()
    except TaxiError as error:  # nothing else can be checked without them
        yield Check("settings", False, str(error))
        return
    parts: dict[str, Callable[[Settings], str]] = {
        "settings": _settings,
        "connections": _connections,
        "rules": _rules,
        "transform": _transform,
        "workspace": _workspace,
        "lake": _lake,
        "source": _source,
    }
    try:
        names = parse_names(settings.destinations, settings)
    except TaxiError:  # the settings check reports it
        names = []
    parts |= {name: functools.partial(_destination, name) for name in names}
    if is_installed("mysql") and is_installed("gcp"):
        parts["bike-share"] = _bikeshare
    for name, part in parts.items():
        try:
            yield Check(name, True, part(settings))
        except TaxiError as error:
            yield Check(name, False, str(error))


def _settings(settings: Settings) -> str:
    parse_names(settings.destinations, settings)
    return f"destinations {settings.destinations}; source {settings.source}"


def _connections(settings: Settings) -> str:
    return f"profile {settings.profile} of {settings.io_config}: {len(settings.connections)} values"


def _rules(settings: Settings) -> str:
    counts = [f"{len(load_rules(settings.rules, service).rules)} for {service}" for service in Service]
    return f"{settings.rules}: {', '.join(counts)}"


def _transform(settings: Settings) -> str:
    transform = load_transform(settings.transform)
    if transform is None:
        return f"{settings.transform}: changes nothing"
    load_function(transform)
    return f"{settings.transform}: {transform.name}() is applied to all trips"


def _workspace(settings: Settings) -> str:
    folder = settings.workspace
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise TaxiError(f"{folder} cannot be written to ({error.strerror}); set TAXI_WORKSPACE.") from None
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:  # in a sticky folder, others only add files
        raise TaxiError(
            f"others may replace files in {folder}: run `chmod o-w` on it, or set TAXI_WORKSPACE to a folder "
            "of your own."
        )
    free = shutil.disk_usage(folder).free
    if free < _FREE_BYTES:
        raise TaxiError(
            f"{folder} has only {free / 1e9:.1f} GB free; free some space, or set TAXI_WORKSPACE."
        )
    return f"{folder}: {free / 1e9:.0f} GB free"


def _lake(settings: Settings) -> str:
    lake = Lake(settings)
    lake.check()
    return lake.describe()


def _source(settings: Settings) -> str:
    month = Month(2020, 4)
    published = resolve(settings.source, settings).published(Service.GREEN, month)
    if published is None:
        return f"{settings.source} is reachable, but has no green {month}"
    return f"{settings.source} is reachable and has green {month}"


def _destination(name: str, settings: Settings) -> str:
    destination = open_destination(name, settings)
    count = len(destination.ledger_entries())
    return f"{destination.describe()}; holds {count} months"


def _bikeshare(settings: Settings) -> str:
    from nyc_taxi.pipelines.bikeshare.config import BikeshareConfig
    from nyc_taxi.pipelines.bikeshare.extract import count_rows

    config = BikeshareConfig.from_settings(settings)
    database = config.database
    if database.missing:
        return "MYSQL_HOST is not set, and no demo data is seeded (taxi bikeshare seed)"
    counts = [
        f"{count_rows(database, table):,} {table.name}" for table in config.tables if table.origin == "mysql"
    ]
    user = f" as {database.url.username}" if database.url.username else ""
    return f"{database.where}{user}: {', '.join(counts)}"
