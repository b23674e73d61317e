"""`taxi migrate`: migrate the tables of a destination to this version's schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from nyc_taxi.load.migration import Migration
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.model.run import RunContext
from nyc_taxi.pipelines.backfill import Attempt, attempt
from nyc_taxi.settings import Settings


def migrate(name: str, settings: Settings, *, dry_run: bool) -> list[Migration]:
    """Run the migrations of one destination and return them; raises DestinationError."""
    return open_destination(name, settings).migrate(dry_run=dry_run)


def reload_months(name: str, steps: Iterable[Migration], context: RunContext) -> Iterator[Attempt]:
    """Reload the months whose values could not be converted, from their raw files in the lake."""
    destination = open_destination(name, context.settings)
    for service, month in sorted({each for step in steps for each in step.reload}):
        entry = destination.ledger_entry(service, month)
        if entry is not None:  # without an entry, its load is recorded elsewhere or not at all
            source = f"lake:{entry.source_sha256[:12]}"
            request = LoadRequest(
                service, month, source, (name,), accept=entry.accepted is not None, force=True
            )
            limited = tuple(entry.destinations.split(",")) if entry.destinations else ()
            yield attempt(request, replace(context, run=replace(context.run, destinations=limited)))
