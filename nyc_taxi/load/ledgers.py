"""The ledgers of several destinations, read side by side."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

from nyc_taxi.errors import DestinationError
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import Settings


def read_ledgers(
    destinations: Iterable[str],
    settings: Settings,
    months: Collection[tuple[Service, Month]] | None = None,
    *,
    deletions: bool = False,
    unread: dict[str, DestinationError] | None = None,
) -> dict[str, list[LedgerEntry]]:
    """The `ledger_entries` of each destination, by its name.

    A destination whose ledger cannot be read is left out and its error added to `unread`; without `unread`,
    the DestinationError is raised.
    """

    def entries(name: str) -> list[LedgerEntry] | None:
        try:
            return open_destination(name, settings).ledger_entries(months, deletions=deletions)
        except DestinationError as error:
            if unread is None:
                raise
            unread[name] = error
            return None

    names = list(destinations)
    with ThreadPoolExecutor(max(len(names), 1), thread_name_prefix="ledger") as pool:
        ledgers = dict(zip(names, pool.map(entries, names), strict=True))
    return {name: ledger for name, ledger in ledgers.items() if ledger is not None}
