"""`taxi delete`: delete a month from destinations on purpose."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from nyc_taxi.errors import DestinationError
from nyc_taxi.lake.current import remove_current
from nyc_taxi.load.registry import holders, open_destination
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run
from nyc_taxi.settings import Settings


def delete_month(
    service: Service, month: Month, destinations: Iterable[str], settings: Settings, run: Run
) -> Iterator[str]:
    """Delete the month from each destination, yielding one line for each; raises DestinationError.

    Once no destination holds the month, it is no longer current in this workspace.
    """
    for name in destinations:
        entry = open_destination(name, settings).delete_month(service, month, run)
        if entry is None:
            yield f"{service} {month}: {name} does not hold it"
        else:
            yield (
                f"{service} {month}: deleted from {name} (version {entry.version});"
                f" `taxi run {service} {month} --to {name}` loads it again"
            )
    with contextlib.suppress(DestinationError):  # if unreadable, it may hold the month: keep links
        if not any(
            open_destination(name, settings).ledger_entry(service, month) for name in holders(settings)
        ):
            for generated in (False, True):
                remove_current(settings.workspace, service, month, generated=generated)
