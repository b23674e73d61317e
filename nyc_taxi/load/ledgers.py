"""The ledgers of several destinations, read side by side."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.settings import Settings


def read_ledgers(destinations: Iterable[str], settings: Settings) -> dict[str, list[LedgerEntry]]:
    """What is in force of every month, by destination, deletions included; raises what destinations raise."""

    def entries(name: str) -> list[LedgerEntry]:
        return open_destination(name, settings).ledger_entries(deletions=True)

    names = list(destinations)
    with ThreadPoolExecutor(max(len(names), 1), thread_name_prefix="ledger") as pool:
        return dict(zip(names, pool.map(entries, names), strict=True))
