"""A check-up of everything a run needs, each check with what to do about a fault."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nyc_taxi.errors import TaxiError
from nyc_taxi.extract.sources import resolve
from nyc_taxi.load.registry import open_destination, parse_names
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import profile, settings
from nyc_taxi.transform.rules import load_rules

_FREE_BYTES = 2 << 30
"""A large month (20 million rows) needs about this much scratch space."""


@dataclass(frozen=True)
class Check:
    """One part, looked at."""

    name: str
    good: bool
    detail: str


def checkup() -> Iterator[Check]:
    """Look at every configured part; never raises an expected error."""
    try:
        settings()
    except TaxiError as error:  # nothing else can be looked at without them
        yield Check("settings", False, str(error))
        return
    parts: dict[str, Callable[[], str]] = {
        "settings": _settings,
        "connections": _connections,
        "rules": _rules,
        "workspace": _workspace,
        "source": _source,
    }
    try:
        names = parse_names(settings().destinations)
    except TaxiError:  # the settings check says it
        names = []
    parts |= {name: lambda name=name: _destination(name) for name in names}  # type: ignore[misc]
    parts["bike-share"] = _bikeshare
    for name, part in parts.items():
        try:
            yield Check(name, True, part())
        except TaxiError as error:
            yield Check(name, False, str(error))


def _settings() -> str:
    parse_names(settings().destinations)
    return f"destinations {settings().destinations}; source {settings().source}"


def _connections() -> str:
    return f"profile {settings().profile} of {settings().io_config}: {len(profile())} values"


def _rules() -> str:
    counts = [f"{len(load_rules(settings().rules, service).rules)} for {service}" for service in Service]
    return f"{settings().rules}: {', '.join(counts)}"


def _workspace() -> str:
    folder = settings().workspace
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise TaxiError(f"{folder} cannot be written to ({error.strerror}); set TAXI_WORKSPACE.") from None
    free = shutil.disk_usage(folder).free
    if free < _FREE_BYTES:
        raise TaxiError(
            f"{folder} has only {free / 1e9:.1f} GB free; free some, or set TAXI_WORKSPACE elsewhere."
        )
    return f"{folder}: {free / 1e9:.0f} GB free"


def _source() -> str:
    month = Month(2020, 4)
    found = resolve(settings().source).published(Service.GREEN, month)
    if found is None:
        return f"{settings().source} answers, but has no green {month}"
    return f"{settings().source} answers, and has green {month}"


def _destination(name: str) -> str:
    there = open_destination(name)
    count = len(there.ledger_entries())
    return f"{there.describe()}; holds {count} months"


def _bikeshare() -> str:
    if "MYSQL_HOST" not in profile():
        return "MYSQL_HOST is not set: its stations come from an embedded MySQL server"
    from nyc_taxi.pipelines.bikeshare.config import place
    from nyc_taxi.pipelines.bikeshare.extract import count_rows
    from nyc_taxi.pipelines.bikeshare.tables import raw_tables

    mysql = place().mysql
    counts = [f"{count_rows(mysql, table):,} {table.name}" for table in raw_tables("mysql")]
    return f"MySQL {mysql.where} as {mysql.user}: {', '.join(counts)}"
